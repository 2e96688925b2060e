# What `batch` needs for a long input.
studies+=(batch_memory)

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
