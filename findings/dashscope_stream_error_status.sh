#!/usr/bin/env bash
# Runs: dashscope 2.0.2 (the official SDK), Generation.call with stream=True, against a stream in the format of Model Studio
#   whose last event is an error: `event:error`, `:HTTP_STATUS/429`, a body with code Throttling.RateQuota.
# Guess: the last item that the caller gets has status_code 429, from the line that is there to say it.
# Happens: status_code is 400, for 429 and for 503 alike; `code` is right.
# Matters: who retries by the status takes a throttle for a bad request and gives the call up. Go by `code`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dashscope==2.0.2
PYTHONPATH=$here "$work/venv/bin/python" - <<'END'
import json

import dashscope
from upstream import Upstream, events, verdict


def event(kind, status, body):
    return f"id:1\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{json.dumps(body)}"


def last(status, code):
    choice = {"message": {"content": "a", "role": "assistant"}, "finish_reason": "null"}
    count = {"total_tokens": 11, "input_tokens": 10, "output_tokens": 1}
    result = {"output": {"choices": [choice]}, "usage": count, "request_id": "r"}
    error = {"code": code, "message": "try again later", "request_id": "r"}
    upstream = Upstream(events(event("result", 200, result), event("error", status, error)))
    dashscope.base_http_api_url = f"{upstream.url}/api/v1"
    messages = [{"role": "user", "content": "hi"}]
    *_, item = dashscope.Generation.call(
        model="qwen-plus", api_key="none", messages=messages, stream=True, result_format="message"
    )
    return item.status_code, item.code


seen = [last(429, "Throttling.RateQuota"), last(503, "ModelUnavailable")]
verdict(seen, [(400, "Throttling.RateQuota"), (400, "ModelUnavailable")])
END
