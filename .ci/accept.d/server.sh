# The gateway of examples/axum-server, on loopback before a mock in its own process.
deployed+=(axum-server)
studies+=(openai_python promtool server_memory server_latency server_restart)

# start_gateway NAME ARGS...: starts a gateway before the mock on a free port and sets $gateway and $pid.
start_gateway() {
  local log="$work/$1.log"
  shift
  : >"$log"
  NO_COLOR=1 RUST_LOG=${RUST_LOG:-axum_server=info} "$dist"/axum-server --listen 127.0.0.1:0 --drain 0 --upstream "$base/compatible-mode/v1" \
    --key study=sk-study --admin-key sk-admin "$@" 2>"$log" &
  pid=$!
  until grep -q 'listening on ' "$log"; do
    kill -0 "$pid" || { cat "$log"; exit 1; }
    sleep 0.05
  done
  gateway=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$log")
}

stop_gateway() {
  kill -TERM "$1"
  wait "$1" || { echo "FAILED: the gateway did not stop well"; exit 1; }
}

wide=(--rpm 1000000000 --tpm 1000000000000)

# The official client of OpenAI, unchanged.
openai_python() {
  need python3
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    need_package python3-venv
  fi
  python3 -m venv "$work/venv"
  "$work"/venv/bin/pip install --quiet openai
  start_mock
  start_gateway openai --rpm 4
  "$work"/venv/bin/python .ci/accept.d/openai_client.py "$gateway/v1" sk-study
  curl -fsS -H 'authorization: Bearer sk-study' "$gateway/usage" | jq -c '{tenant, usage: (.usage | {calls, input_tokens, output_tokens})}'
  check "tokens in the ledger" \
    "$(curl -fsS -H 'authorization: Bearer sk-study' "$gateway/usage" | jq '.usage | .input_tokens + .output_tokens')" \
    "==" "$(curl -fsS "$base/stats" | jq .tokens.total)"
  stop_gateway "$pid"
  stop_mock
}

# Prometheus' own checker has nothing to say of a gateway's metrics, nor of the dashboard's queries.
promtool() {
  type -P promtool >/dev/null || need_package prometheus
  start_mock
  cat >"$work/promtool.toml" <<FILE
version = 1
[[callers]]
name = "short"
key = "sk-short"
requests_per_minute = 3
cost_per_day = "5 USD"
FILE
  start_gateway promtool --config "$work/promtool.toml" --ledger "$work/promtool.ledger"
  local call='{"model":"qwen-plus","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"Tell me of rivers."}]}'
  for key in sk-study sk-short sk-short sk-short sk-short; do
    curl -sS -o "$work/answer" "$gateway/v1/chat/completions" -H "authorization: Bearer $key" -H 'content-type: application/json' -d "$call"
  done
  curl -fsS -H 'authorization: Bearer sk-admin' "$gateway/metrics" >"$work/metrics"
  stop_gateway "$pid"
  stop_mock
  check "calls that were rejected" "$(sed -n 's/^axum_server_callers_total{outcome="requests"} //p' "$work/metrics")" "==" 1
  local said
  said=$(command promtool check metrics <"$work/metrics" 2>&1) || { echo "$said"; echo "FAILED: promtool check metrics"; exit 1; }
  [ -z "$said" ] || { echo "$said"; echo "FAILED: promtool has something to say"; exit 1; }
  # What the dashboard asks for is PromQL; that there are such metrics is among the tests.
  jq '{groups: [{name: "grafana", rules: [[.. | .expr? // empty] | to_entries[]
    | {record: "query:\(.key)", expr: (.value | gsub("\\$__rate_interval"; "5m") | gsub("\\$tenant"; ".*"))}]}]}' docs/grafana.json >"$work/rules.json"
  command promtool check rules "$work/rules.json" | grep 'SUCCESS' || { echo "FAILED: the queries of docs/grafana.json"; exit 1; }
  echo "ok: promtool check metrics, of $(grep -c '^# TYPE' "$work/metrics") metrics"
}

# resident PID FIELD: a field of /proc/PID/status in kB: VmRSS, VmHWM (the most so far), RssAnon (without the pages of files).
resident() { sed -n "s/^$2:\s*\([0-9]*\) kB/\1/p" "/proc/$1/status"; }

# A gateway with a file and an upstream of its own process: without a call, and with 2,000 streams that have no end, of which
# their readers take the head and then nothing. Two files are open for each of these.
memory_at_rest() {
  need python3
  [ "$(ulimit -n)" -ge 8192 ] || ulimit -n 8192
  : >"$work/endless.log"
  python3 .ci/accept.d/readers.py upstream >"$work/endless.log" &
  local upstream=$! readers heads
  until grep -q '^listening on ' "$work/endless.log"; do
    kill -0 "$upstream" || exit 1
    sleep 0.05
  done
  base=$(sed -n 's/^listening on //p' "$work/endless.log")
  cat >"$work/rest.toml" <<TOML
version = 1
[server]
listen = "127.0.0.1:0"
[limits]
max_caller_calls = 3000
write_timeout = "10m"      # nobody is cut while this measures
[ledger]
file = "$work/rest.ledger"
[[upstreams]]
name = "endless"
base_url = "$base/compatible-mode/v1"
api_key = "sk-endless"
[[callers]]
name = "readers"
key = "sk-readers"
requests_per_minute = 1000000000
tokens_per_minute = 1000000000000
cost_per_day = "1000000 USD"
TOML
  RUST_LOG=warn,axum_server::start=info start_gateway rest --config "$work/rest.toml"
  sleep 2
  echo "idle: resident $(resident "$pid" VmRSS) kB, of which its own $(resident "$pid" RssAnon) kB and the rest pages of files"
  local idle idle_own
  idle=$(resident "$pid" VmRSS)
  idle_own=$(resident "$pid" RssAnon)

  mkfifo "$work/readers"
  python3 .ci/accept.d/readers.py read "$gateway" sk-readers 2000 <"$work/readers" >"$work/heads" &
  readers=$!
  exec 8>"$work/readers"
  until [ -s "$work/heads" ] || ! kill -0 "$readers"; do sleep 0.5; done
  # The last heads come when the others take no more. Then the buffers fill up.
  sleep 10
  heads=$(cat "$work/heads")
  echo "2,000 readers that take nothing: resident $(resident "$pid" VmRSS) kB, at most $(resident "$pid" VmHWM) kB"
  local most
  most=$(resident "$pid" VmHWM)
  exec 8>&-
  wait "$readers"
  until [ "$(jq -s length "$work/rest.ledger")" = 2000 ]; do sleep 0.5; done
  stop_gateway "$pid"
  kill "$upstream"
  wait "$upstream" 2>/dev/null || true

  # The goals are 12,000 and 150,000, met by 500 and 1,000. Pages of the file, which the system maps as it likes, are 10,000 of each.
  check "idle, resident kB (goal: 12000)" "$idle" "<=" 13000
  check "idle, its own kB" "$idle_own" "<=" 2000
  check "streams that were held" "$heads" "==" 2000
  check "resident kB with 2,000 readers that take nothing (goal: 150000)" "$most" "<=" 155000
}

# Memory at rest first. Then 20,000 streamed calls, one of ten left in the middle: memory, and what was booked of them. Streams
# are slow, so that the mock does not end one into the buffers of sockets before it hears that its reader has left.
server_memory() {
  memory_at_rest
  memory_of_many_calls
  start_mock --rpm 1000000000 --tpm 1000000000000 --enforce bucket --ttft 1ms --tpot 8ms --output-tokens 400 --chunk-tokens 8
  start_gateway memory "${wide[@]}" --ledger "$work/calls.ledger"
  (while sleep 0.5; do sed -n 's/VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$pid/status"; done >"$work/rss") 2>/dev/null &
  local sampler=$!
  "$dist"/load --url "$gateway" --key sk-study --calls 20000 --concurrency 400 >"$work/load.json"
  kill "$sampler"
  while [ "$(curl -fsS "$base/stats" | jq .in_flight)" != 0 ]; do sleep 0.1; done
  curl -fsS "$base/stats" >"$work/stats.json"
  curl -fsS -H 'authorization: Bearer sk-admin' "$gateway/usage" | jq .total >"$work/total.json"
  stop_gateway "$pid"
  stop_mock
  jq -c . "$work/load.json"
  jq -c '{completed, aborted, tokens, unfinished}' "$work/stats.json"
  jq -cs 'group_by(.end + " " + .basis)[] | {end: .[0].end, basis: .[0].basis, calls: length,
    input: (map(.input_tokens // 0) | add), output: (map(.output_tokens // 0) | add)}' "$work/calls.ledger" | tee "$work/groups.jsonl"
  of() { jq -s "map(select(.end == \"$1\" and .basis == \"$2\")) | .[0].$3 // 0" "$work/groups.jsonl"; }
  stat() { jq "$1" "$work/stats.json"; }

  check "calls booked" "$(jq .calls "$work/total.json")" "==" 20000
  check "completed calls" "$(of complete reported calls)" "==" "$(stat .completed)"
  check "their tokens in" "$(of complete reported input)" "==" "$(stat .tokens.prompt)"
  check "their tokens out" "$(of complete reported output)" "==" "$(stat .tokens.output)"
  check "calls that were left" "$(of cancelled estimated calls)" "==" "$(stat .aborted)"
  check "calls booked otherwise" "$((20000 - $(of complete reported calls) - $(of cancelled estimated calls)))" "==" 0
  local off
  off=$(jq -n "($(of cancelled estimated output) - $(stat .unfinished.output)) / $(stat .unfinished.output) * 1000 | round / 10")
  echo "tokens out of calls that were left: $off % off what the mock had delivered"
  check "that error, either way, in percent" "${off#-}" "<=" 25

  local samples early late
  samples=$(wc -l <"$work/rss")
  early=$(head -n $((samples / 2)) "$work/rss" | tail -n $((samples / 4)) | sort -g | tail -n 1)
  late=$(tail -n $((samples / 4)) "$work/rss" | sort -g | tail -n 1)
  echo "resident memory at most: second quarter $early kB, last quarter $late kB ($samples samples)"
  check "growth in kB" $((late - early)) "<=" 4096
}

# Whole calls as fast as they go: what each leaves behind would add up.
memory_of_many_calls() {
  need wrk
  local kind before after calls
  start_mock "${answers[@]}"
  start_full many-calls
  for kind in whole stream; do
    counted $kind 5 >/dev/null
    before=$(resident "$pid" VmRSS)
    calls=$(counted $kind 15)
    after=$(resident "$pid" VmRSS)
    echo "$kind: resident memory before and after $calls calls: $before and $after kB"
    check "bytes that each leaves behind" $(((after - before) * 1024 / calls)) "<=" 20
  done
  stop_gateway "$pid"
  stop_mock
}

# A million calls of today are read back at the start: half of them in a rotated file, a caller's budget reaches them all.
server_restart() {
  start_mock
  local at
  at=$(date -u +%Y-%m-%dT%H:%M:%S.000Z)
  lines() {
    awk -v at="$at" 'BEGIN {
      for (i = 0; i < 500000; i++) printf "{\"at\":\"%s\",\"model\":\"qwen-plus\",\"v\":2,\"tenant\":\"study\",\"end\":\"complete\",\"basis\":\"reported\",\"input_tokens\":9,\"output_tokens\":1,\"duration_ms\":12}\n", at
    }'
  }
  lines >"$work/restart.ledger"
  lines >"$work/restart.ledger.1"
  cat >"$work/restart.toml" <<TOML
version = 1
[ledger]
file = "$work/restart.ledger"
[[callers]]
name = "study"
key = "sk-study"
tokens_per_day = 10000000
TOML
  : >"$work/restarts"
  local run
  for run in 1 2 3; do
    start_gateway "restart-$run" --config "$work/restart.toml"
    sed -n 's/.*read the ledger back.*lines=\([0-9]*\).* ms=\([0-9]*\).*/\1 \2/p' "$work/restart-$run.log" >>"$work/restarts"
    # The budget is used up by what was read back: 429 without a call.
    check "status of a call beyond the budget" "$(curl -s -o "$work/answer" -w '%{http_code}' "$gateway/v1/chat/completions" \
      -H 'authorization: Bearer sk-study' -H 'content-type: application/json' \
      -d '{"model":"qwen-plus","messages":[{"role":"user","content":"Hi"}]}')" "==" 429
    check "calls that were read back" "$(curl -fsS -H 'authorization: Bearer sk-admin' "$gateway/usage" | jq .total.calls)" "==" 1000000
    stop_gateway "$pid"
  done
  stop_mock
  check "milliseconds for a million lines" "$(cut -d' ' -f2 "$work/restarts" | median)" "<=" 10000
}

# race NAME LOADS MOCK_ARGS...: the gateway against the same proxy without our layers, in turn, so many calls at a time;
# whole answers and streams, five runs each. Prints the medians.
race() {
  local name=$1 loads=$2 bare bare_pid full full_pid round kind load which url
  shift 2
  start_mock --rpm 1000000000 --tpm 1000000000000 --enforce bucket --output-tokens 100 "$@"
  RUST_LOG=warn,axum_server::start=info start_gateway bare --bare "${wide[@]}"
  bare=$gateway bare_pid=$pid
  RUST_LOG=warn,axum_server::start=info start_gateway full "${wide[@]}"
  full=$gateway full_pid=$pid
  for round in warm 1 2 3 4 5; do
    for kind in whole stream; do
      for load in $loads; do
        for which in bare full; do
          url=$bare
          [ $which = full ] && url=$full
          KIND=$kind wrk -t1 -c"$load" -d4s -s .ci/accept.d/wrk.lua "$url" | sed -n 's/^figures //p' >"$work/figures"
          [ $round = warm ] || cat "$work/figures" >>"$work/$name-$kind-$load-$which"
        done
      done
    done
  done
  stop_gateway "$bare_pid"
  stop_gateway "$full_pid"
  stop_mock
  for kind in whole stream; do
    for load in $loads; do
      for which in bare full; do
        echo "$name, $kind, $load at a time, $which: median $(figure "$name-$kind-$load-$which" 1) us, p99 $(figure "$name-$kind-$load-$which" 2) us, $(figure "$name-$kind-$load-$which" 3) calls/s"
      done
    done
  done
}

# figure RUNS FIELD: the median of five runs.
figure() { cut -d' ' -f"$2" "$work/$1" | sort -g | sed -n 3p; }

# change RUNS FIELD: of ours against bare, in percent.
change() { jq -n "($(figure "$1-full" "$2") / $(figure "$1-bare" "$2") - 1) * 1000 | round / 10"; }

# What our layers cost: with quick answers (about 22 ms), and flat out, where answers take no time and the processor is all
# there is. What comes near that has no bound: it says how much of a processor a call takes.
server_latency() {
  need wrk
  race quick "1 16 64" --ttft 5ms --tpot 100us
  race "flat out" 32 --ttft 0ms --tpot 0ms
  local kind
  for kind in whole stream; do
    echo "quick, $kind, 64 at a time: $(change "quick-$kind-64" 3) % calls/s"
    echo "flat out, $kind: $(change "flat out-$kind-32" 3) % calls/s"
  done
  for kind in whole stream; do
    check "$kind: change of the median latency in percent" "$(change "quick-$kind-1" 1)" "<=" 10
    check "$kind: change of the throughput in percent" "$(change "quick-$kind-16" 3)" ">=" -10
  done
}
