#!/usr/bin/env bash
# Runs: openai 3.57.0 for Python, against a server whose connection breaks in the middle of a whole answer of status 200.
# Guess: retries end with the head: a body that breaks off raises APIConnectionError, and the caller decides.
# Happens: the call is sent again, silently; the caller gets the second answer.
# Matters: the model has worked for the first answer as well, and it is paid; the usage that the caller sees is of one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openai==3.57.0
PYTHONPATH=$here "$work/venv/bin/python" - <<'END'
import openai
from upstream import Upstream, completion, usage, verdict, whole


def half(handler, _):
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"id": "c", "choices": [')
    handler.close_connection = True


upstream = Upstream(half, whole(200, completion(usage=usage(9, 3))))
client = openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="none")
answer = client.chat.completions.create(model="qwen-plus", messages=[{"role": "user", "content": "hi"}])
verdict((len(upstream.requests), answer.usage.total_tokens), (2, 12))
END
