#!/usr/bin/env bash
# Runs: langchain-qwq 0.3.5 with langchain-openai 1.7.4 and langchain-core 1.8.3, ChatQwen(..).stream, against a host that
#   states the running usage in each chunk, as vLLM does with continuous_usage_stats (or --enable-force-include-usage).
# Guess: usage_metadata of the joined chunks is the last usage, 10 and 3.
# Happens: it is the sum of all of them, 50 and 12: prompts count once for each chunk.
# Matters: a bill by usage_metadata grows with the number of chunks. Ask such a host for usage at the end alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet langchain-qwq==0.3.5 langchain-openai==1.7.4 langchain-core==1.8.3 openai==3.57.0
PYTHONPATH=$here "$work/venv/bin/python" - <<'END'
from langchain_qwq import ChatQwen
from upstream import Upstream, chunk, events, usage, verdict

running = [chunk(text, usage=usage(10, at)) for at, text in enumerate("abc", 1)]
last = {**chunk(), "choices": [], "usage": usage(10, 3)}
upstream = Upstream(events(*running, chunk(reason="stop", usage=usage(10, 3)), last, "data: [DONE]"))
whole = None
for part in ChatQwen(model="qwen-plus", base_url=f"{upstream.url}/v1", api_key="none").stream("hi"):
    whole = part if whole is None else whole + part
count = whole.usage_metadata
verdict((whole.content, count["input_tokens"], count["output_tokens"]), ("abc", 50, 12))
END
