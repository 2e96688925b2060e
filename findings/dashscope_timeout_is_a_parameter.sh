#!/usr/bin/env bash
# Runs: dashscope 2.0.2 (the official SDK), Generation.call(timeout=1), against a server that answers after 3 s.
# Guess: the call raises a timeout after a second, as `timeout` does in each other SDK of the field.
# Happens: `timeout` is taken for a parameter of the model: it is sent in the body, and the call waits as long as it takes.
#   What limits it is called `request_timeout`.
# Matters: a caller believes in a bound that is not there; a server that checks its parameters rejects the call.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dashscope==2.0.2
PYTHONPATH=$here "$work/venv/bin/python" - <<'END'
import time

import dashscope
from upstream import Upstream, verdict, whole

output = {"text": None, "choices": [{"message": {"content": "a", "role": "assistant"}, "finish_reason": "stop"}]}
good = whole(200, {"output": output, "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}, "request_id": "r"})


def slow(handler, body):
    time.sleep(3)
    try:
        good(handler, body)
    except OSError:
        pass  # The caller has left.


upstream = Upstream(slow)
dashscope.base_http_api_url = f"{upstream.url}/api/v1"


def call(**limit):
    try:
        messages = [{"role": "user", "content": "hi"}]
        answer = dashscope.Generation.call(model="qwen-plus", api_key="none", messages=messages, result_format="message", **limit)
        end = answer.status_code
    except Exception as error:
        end = type(error).__name__
    return end, upstream.requests[-1][2]["parameters"].get("timeout")


verdict([call(timeout=1), call(request_timeout=1)], [(200, 1), ("ReadTimeout", None)])
END
