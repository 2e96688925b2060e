#!/usr/bin/env bash
# Runs: LiteLLM proxy 1.106.12, /v1/messages (the Anthropic API) before a host that has /v1/chat/completions and no
#   /v1/responses, as many gateways (openai/ provider). max_tokens is 9.
# Guess: the call is translated to /v1/chat/completions with max_tokens 9.
# Happens: it goes to /v1/responses, with max_output_tokens 16: the caller's bound is raised. A host without that path
#   answers 404, and so the call fails although the host could have served it.
# Matters: Anthropic clients before such a host fail; bounds below 16 are gone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# The list is beside the study that uses it too; it names 1.106.12, each package with its hash.
"$work/venv/bin/pip" install --quiet --no-deps --require-hashes -r "$here/../.ci/accept.d/real_hosts/requirements-litellm.txt"
WORK=$work PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 python3 - <<'END'
import os

from litellm_proxy import proxy
from upstream import Upstream, completion, usage, verdict, whole


def answer(handler, body):
    path = handler.path
    found = whole(200, completion(usage=usage(9, 3))) if path == "/v1/chat/completions" else whole(404, {"error": {"message": "Not Found", "code": 404}})
    found(handler, body)


upstream = Upstream(answer)
call = {"model": "qwen-plus", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
with proxy(os.environ["WORK"], upstream.url) as post:
    status, text = post("/v1/messages", call)
print(status, text[:300])
sent = sorted({(path, body.get("max_tokens") or body.get("max_output_tokens")) for _, path, body in upstream.requests})
verdict((status, sent), (404, [("/v1/responses", 16)]))
END
