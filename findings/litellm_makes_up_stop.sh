#!/usr/bin/env bash
# Runs: LiteLLM proxy 1.106.12 before a host (openai/ provider) whose answer has no finish_reason, as one that was cut off.
# Guess: the proxy passes on what it was told: null for a whole answer, and a stream that ends without one.
# Happens: it says "stop", whole and in a stream, and ends the stream with [DONE]. Of a reason that it does not know
#   (insufficient_system_resource: the host broke off for want of room) it makes "stop" as well.
# Matters: behind this proxy a cut answer cannot be told from a finished one; who retries on a cut never does.
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
from upstream import Upstream, chunk, completion, events, usage, verdict, whole

count = usage(9, 3)
upstream = Upstream(
    whole(200, completion(None, usage=count)),
    whole(200, completion("insufficient_system_resource", usage=count)),
    events(chunk("a"), {**chunk(), "choices": [], "usage": count}, "data: [DONE]"),
)
call = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}
with proxy(os.environ["WORK"], upstream.url) as post:
    seen = [json.loads(post("/v1/chat/completions", call)[1])["choices"][0]["finish_reason"] for _ in range(2)]
    _, text = post("/v1/chat/completions", {**call, "stream": True})
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    reasons = [json.loads(line)["choices"][0].get("finish_reason") for line in lines if line != "[DONE]"]
    seen += [[reason for reason in reasons if reason], lines[-1]]
verdict(seen, ["stop", "stop", ["stop"], "[DONE]"])
END
