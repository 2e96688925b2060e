# The gateway of examples/axum-server, on loopback before a mock in its own process.
packages+=(axum-server)
studies+=(openai_python server_memory server_latency)

# start_gateway NAME ARGS...: starts a gateway before the mock on a free port and sets $gateway and $pid.
start_gateway() {
  local log="$work/$1.log"
  shift
  : >"$log"
  NO_COLOR=1 RUST_LOG=${RUST_LOG:-axum_server=info} "$bin"/axum-server --listen 127.0.0.1:0 --upstream "$base/compatible-mode/v1" \
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

# 20,000 streamed calls, one of ten left in the middle: memory, and what was booked of them. Streams are slow, so that the
# mock does not end one into the buffers of sockets before it hears that its reader has left.
server_memory() {
  start_mock --rpm 1000000000 --tpm 1000000000000 --enforce bucket --ttft 1ms --tpot 8ms --output-tokens 400 --chunk-tokens 8
  start_gateway memory "${wide[@]}" --ledger "$work/calls.ledger"
  (while sleep 0.5; do sed -n 's/VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$pid/status"; done >"$work/rss") 2>/dev/null &
  local sampler=$!
  "$bin"/load --url "$gateway" --key sk-study --calls 20000 --concurrency 400 >"$work/load.json"
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
