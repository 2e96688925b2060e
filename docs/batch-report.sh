#!/usr/bin/env bash
# Draws docs/batch-report.png: the report of a real run against mock-qwen, which grants less than the run is told and
# fails now and then. Takes two minutes, and chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build -p mock-qwen -p batch
work=$(mktemp -d)
mock=
trap 'kill $mock 2>/dev/null || true; rm -rf "$work"' EXIT

# Three of four calls are of qwen-plus.
for number in $(seq 1200); do
  model=qwen-plus
  ((number % 4)) || model=qwen-flash
  printf '{"custom_id":"q%d","method":"POST","url":"/v1/chat/completions","body":{"model":"%s","messages":[{"role":"user","content":"Name the rivers of region %d."}],"max_tokens":400}}\n' \
    "$number" "$model" "$number"
done >"$work/calls.jsonl"

address=127.0.0.1:18431
target/debug/mock-qwen --listen $address --rpm 250 --tpm 250000 --window 20s \
  --ttft 300ms --tpot 5ms --jitter 0.6 --fault-503 0.01 >"$work/mock.log" &
mock=$!
until (exec 3<>"/dev/tcp/${address/://}") 2>/dev/null; do sleep 0.1; done

target/debug/batch --input "$work/calls.jsonl" --base-url http://$address/v1 --stream --rpm 200 --tpm 200000 --window 20s \
  --max-attempts 2 --report "$work/run.html" || [ $? -eq 1 ]
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1000,1165 \
  --screenshot=docs/batch-report.png "file://$work/run.html" 2>"$work/chromium.log"
