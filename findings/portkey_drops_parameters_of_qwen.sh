#!/usr/bin/env bash
# Runs: Portkey gateway 1.15.2 for Node before a host that speaks OpenAI's API, as provider openai with a custom_host and as
#   its own provider dashscope. The call has ten parameters of Model Studio beside the usual ones.
# Guess: what it does not know it passes on to the host, or rejects.
# Happens: it takes them out and answers 200. As openai all ten are gone, enable_thinking and thinking_budget among them. As
#   dashscope five stay; preserve_thinking, search_options, enable_code_interpreter, vl_high_resolution_images and
#   translation_options go.
# Matters: whoever switches thinking off, or bounds it, pays for all of it, and nothing says so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The list is beside the study that uses it too; it names 1.15.2, each package with its hash.
cp "$here"/../.ci/accept.d/server_peers/package*.json "$work"
npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$work" >/dev/null
WORK=$work PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 python3 - <<'END'
import json
import os

from portkey import gateway
from upstream import Upstream, completion, usage, verdict, whole

OF_QWEN = {
    "enable_thinking": False,
    "thinking_budget": 50,
    "preserve_thinking": True,
    "enable_search": True,
    "search_options": {"forced_search": True},
    "enable_code_interpreter": True,
    "top_k": 20,
    "repetition_penalty": 1.1,
    "vl_high_resolution_images": True,
    "translation_options": {"target_lang": "English"},
}
upstream = Upstream(whole(200, completion(usage=usage(9, 3))))
call = {"model": "qwen-plus", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **OF_QWEN}
seen = []
with gateway(os.environ["WORK"]) as post:
    for provider in ["openai", "dashscope"]:
        config = {"provider": provider, "api_key": "none", "custom_host": f"{upstream.url}/v1"}
        status, _ = post(config, call)
        sent = upstream.requests[-1][2]
        assert sent["max_tokens"] == 9, sent
        seen += [status, [name for name in OF_QWEN if name in sent]]
verdict(seen, [200, [], 200, ["enable_thinking", "thinking_budget", "enable_search", "top_k", "repetition_penalty"]])
END
