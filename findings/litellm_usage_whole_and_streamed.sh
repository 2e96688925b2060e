#!/usr/bin/env bash
# Runs: LiteLLM proxy 1.106.12 before a host (openai/ provider) that states no usage, the same call whole and as a stream.
# Guess: both have a usage that the proxy counted itself, the same for both.
# Happens: whole, the usage is 0 and 0, stated as if it were known; the stream has a count of its own, which is not 0.
# Matters: a bill by usage has free calls where streams are off; usage of 0 for an answer with text means "unknown".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# The list is beside the study that uses it too; it names 1.106.12, each package with its hash.
"$work/venv/bin/pip" install --quiet --no-deps --require-hashes -r "$here/../.ci/accept.d/real_hosts/requirements-litellm.txt"
WORK=$work PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 python3 - <<'END'
import json
import os

from litellm_proxy import proxy
from upstream import Upstream, chunk, completion, events, verdict, whole

upstream = Upstream(whole(200, completion()), events(chunk("a"), chunk(" river"), chunk(reason="stop"), "data: [DONE]"))
call = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}
with proxy(os.environ["WORK"], upstream.url) as post:
    count = json.loads(post("/v1/chat/completions", call)[1])["usage"]
    _, text = post("/v1/chat/completions", {**call, "stream": True, "stream_options": {"include_usage": True}})
    parts = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    streamed = [part["usage"] for part in parts if part.get("usage")][-1]
shown = [(of["prompt_tokens"], of["completion_tokens"]) for of in (count, streamed)]
print("usage whole and streamed:", shown)
verdict((shown[0], min(shown[1]) > 0), ((0, 0), True))
END
