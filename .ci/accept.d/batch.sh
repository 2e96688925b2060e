# What `batch` needs for a long input, how fast it is, and what a long run survives.
packages+=(hyper-client)
studies+=(batch_memory batch_speed batch_trials)

# memory_run NAME FILTER ARGS...: 200,000 prompts of 4 KB from a pipe, through FILTER, against a provider in its own process.
# Leaves the most memory that the program had in $work/NAME.kb. No file holds the input: it would be 800 MB.
memory_run() {
  local name=$1 filter=$2 runner peak=0 now
  shift 2
  start_mock --rpm 60000000 --tpm 100000000000 --ttft 1ms --tpot 1ms
  seq 200000 | awk '
    BEGIN { for (i = 0; i < 800; i++) text = text "word " }
    { printf "{\"custom_id\":\"call-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",", $1
      printf "\"body\":{\"model\":\"qwen-plus\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}}\n", text }
  ' | $filter >"$work/pipe" &
  "$bin"/batch --input - --output "$work/$name.jsonl" --base-url "$base/compatible-mode/v1" \
    --rpm 60000000 --tpm 100000000000 "$@" <"$work/pipe" >"$work/$name.log" 2>&1 &
  runner=$!
  # The kernel forgets it with the process.
  while now=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$runner/status" 2>/dev/null) && [ -n "$now" ]; do
    peak=$now
    sleep 0.2
  done
  wait "$runner" || { tail "$work/$name.log"; exit 1; }
  stop_mock
  check "$name: answers" "$(wc -l <"$work/$name.jsonl")" "==" 200000
  check "$name: memory, MB" "$(jq -n "$peak / 1024")" "<" 60
  tail -n 1 "$work/$name.log" | jq -c '{calls: .calls.succeeded, duration_seconds}'
  rm "$work/$name.jsonl"
}

batch_memory() {
  mkfifo "$work/pipe"
  memory_run plain cat
  memory_run packed "gzip -1"
}

# tiny_calls COUNT: so many calls of some twenty tokens.
tiny_calls() {
  seq "$1" | awk '{
    printf "{\"custom_id\":\"call-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",", $1
    printf "\"body\":{\"model\":\"qwen-plus\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"%d\"}]}}\n", $1
  }'
}

# 100,000 tiny calls without a limit in reach, files included, beside hyper's client alone before the same provider, in turns.
batch_speed() {
  local turn plain ours
  tiny_calls 100000 >"$work/tiny.jsonl"
  start_mock --rpm 1000000000 --tpm 1000000000000 --enforce bucket --output-tokens 1 --ttft 0ms --tpot 0ms
  : >"$work/ratios"
  for turn in 1 2 3; do
    plain=$("$bin"/plain_loop "$base/compatible-mode/v1" 100000 256)
    rm -f "$work/tiny.out"
    DASHSCOPE_API_KEY=sk-study "$bin"/batch --input "$work/tiny.jsonl" --output "$work/tiny.out" --base-url "$base/compatible-mode/v1" \
      --rpm 1000000000 --tpm 1000000000000 --concurrency 256 --summary "$work/tiny.json" >"$work/tiny.log" 2>&1 ||
      { tail "$work/tiny.log"; exit 1; }
    ours=$(jq '100000 / .duration_seconds' "$work/tiny.json")
    echo "calls a second: plain loop $plain, batch $ours"
    jq -n "$ours / $plain" >>"$work/ratios"
  done
  stop_mock
  check "batch, calls a second beside the plain loop (goal: 0.8)" "$(median <"$work/ratios")" ">=" 0.3
}

# trial_run NAME STATUS ARGS...: goes on with the long run, which must end with this status.
trial_run() {
  local name=$1 status=$2 ended=0
  shift 2
  DASHSCOPE_API_KEY=sk-study "$bin"/batch --input "$work/long.jsonl" --output "$small/long.out" --base-url "$base/compatible-mode/v1" \
    --rpm 250000 --tpm 1000000000 --window 6s --concurrency 512 --summary "$work/$name.json" "$@" >"$work/$name.log" 2>&1 || ended=$?
  check "$name: exit status" "$ended" "==" "$status"
  echo "$name: $(grep -v '^{' "$work/$name.log" | tail -n 1)"
}

# answered: the lines of the output, all of them whole.
answered() { jq -n '[inputs | .custom_id] | length' "$small/long.out"; }

# 200,000 calls, which are killed, fill their disk, lose their key and reach a cap of cost: each is answered once.
batch_trials() {
  local small=$work/small runner peak=0 now before sent=0 port sudo
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  mkdir "$small"
  $sudo mount -t tmpfs -o size=60m,mode=777 tmpfs "$small"
  trap 'kill $(jobs -p) 2>/dev/null || true; '"$sudo"' umount "$work/small" 2>/dev/null; rm -rf "$work"' EXIT
  tiny_calls 200000 >"$work/long.jsonl"
  local provider=(--rpm 250000 --tpm 1000000000 --window 6s --output-tokens 1 --ttft 1ms --tpot 1ms)
  start_mock "${provider[@]}"

  # Killed when some have been answered.
  DASHSCOPE_API_KEY=sk-study "$bin"/batch --input "$work/long.jsonl" --output "$small/long.out" --base-url "$base/compatible-mode/v1" \
    --rpm 250000 --tpm 1000000000 --window 6s --concurrency 512 >"$work/killed.log" 2>&1 &
  runner=$!
  until [ "$(wc -l 2>/dev/null <"$small/long.out" || echo 0)" -gt 40000 ]; do
    kill -0 "$runner"
    sleep 0.1
  done
  peak=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$runner/status")
  kill -9 "$runner"
  wait "$runner" 2>/dev/null || true

  # The disk is full.
  trial_run full 1
  check "full: its log names the disk" "$(grep -ci 'space' "$work/full.log")" ">" 0
  $sudo mount -o remount,size=400m "$small"

  # The key ends: from one moment on the provider takes keys of a plan alone.
  port=${base##*:}
  before=$(wc -l <"$small/long.out")
  (
    until [ "$(wc -l <"$small/long.out")" -gt $((before + 20000)) ]; do sleep 0.1; done
    curl -fsS "$base/stats" | jq '.completed' >"$work/completed"
    kill "$mock"
    # The port is free a moment later.
    until "$bin"/mock-qwen --listen "127.0.0.1:$port" --host coding-plan --require-key >"$work/plan.log" 2>&1; do sleep 0.1; done
  ) &
  local swap=$!
  trial_run dead 3
  check "dead: its last words name the key" "$(tail -n 3 "$work/dead.log" | grep -ci 'key')" ">" 0
  sent=$((sent + $(cat "$work/completed")))
  kill "$swap" $(pgrep -P "$swap")
  wait "$swap" 2>/dev/null || true

  # A cap of cost. 20,000 calls of some 10 tokens cost 0.01 USD.
  # At the same address: answers of another provider are refused.
  (until "$bin"/mock-qwen --listen "127.0.0.1:$port" "${provider[@]}" >"$work/again.log" 2>&1; do sleep 0.1; done) &
  swap=$!
  until curl -fsS "$base/stats" >/dev/null 2>&1; do sleep 0.1; done
  trial_run cap 4 --max-cost 0.01USD
  jq -c '{calls: .calls.succeeded, cost, attempts}' "$work/cap.json"
  check "cap: cost, USD" "$(jq '[.cost[]? | tonumber? // (.amount? // 0 | tonumber)] | add // 0' "$work/cap.json")" "<=" 0.0101

  # To its end.
  trial_run rest 0
  sent=$((sent + $(curl -fsS "$base/stats" | jq '.completed')))
  kill "$swap" $(pgrep -P "$swap")
  check "answers" "$(wc -l <"$small/long.out")" "==" 200000
  check "ids" "$(jq -r .custom_id "$small/long.out" | sort -u | wc -l)" "==" 200000
  check "calls that were answered twice, for their answers were lost with the killed run or the full disk" "$((sent - 200000))" "<=" 2048
  check "memory, MB" "$(jq -n "$peak / 1024")" "<" 60
}
