#!/usr/bin/env bash
# Runs: dashscope 2.0.2 for Python, its new `Client`, against 429 with Retry-After.
# Guess: it waits as long as the host says, as the SDKs of OpenAI and Anthropic do.
# Happens: it reads the header and waits 8 s at most whatever that says, so that all its attempts meet a window of 20 s that
#   is closed still. A stream is not sent again at all.
# Matters: a quota by the minute throws RateLimitError at users of this client after half of the wait that was stated; their
#   gateway has to wait for them, or they need retries of their own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dashscope==2.0.2
PYTHONPATH=$here "$work/venv/bin/python" - <<'END'
from unittest import mock

import dashscope
from dashscope.v2 import errors
from upstream import Upstream, verdict, whole

body = {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, please try again later.", "request_id": "r"}


def attempts(hint, stream):
    """How many requests were sent, and the waits between them in whole seconds. Nothing is slept: the waits are noted."""
    waits = []
    upstream = Upstream(whole(429, body, retry_after=hint))
    with mock.patch("time.sleep", waits.append):
        client = dashscope.Client(base_url=f"{upstream.url}/api/v1", api_key="none")
        try:
            answer = client.chat.completions.create(
                model="qwen-plus", messages=[{"role": "user", "content": "hi"}], stream=stream
            )
            if stream:
                answer.get_final_message()
        except errors.RateLimitError:
            pass
    return len(upstream.requests), [round(wait) for wait in waits if wait > 0.9]


seen = {(hint, stream): attempts(hint, stream) for hint in ("3", "20", "60") for stream in (False, True)}
stated = {
    ("3", False): (3, [3, 3]),
    ("20", False): (3, [8, 8]),
    ("60", False): (3, [8, 8]),
    ("3", True): (1, []),
    ("20", True): (1, []),
    ("60", True): (1, []),
}
verdict(seen, stated)
END
