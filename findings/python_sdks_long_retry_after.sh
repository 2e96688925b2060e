#!/usr/bin/env bash
# Runs: openai 3.57.0 and anthropic 2.14.0 for Python, against a 429 with Retry-After.
# Guess: openai takes a hint above 60 s for a mistake, as it did for years, and comes back within a second; anthropic, made
#   with the same generator, does as openai does.
# Happens: openai waits for up to 120 s as it is told, and above that does not retry at all: one attempt, RateLimitError.
#   anthropic waits for whatever it is told, a day included.
# Matters: a gateway that says 61 s holds the thread of its caller for a minute; one that says 121 s takes its retries away.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openai==3.57.0 anthropic==2.14.0
PYTHONPATH=$here "$work/venv/bin/python" - <<'END'
from unittest import mock

import anthropic
import openai
from upstream import Upstream, completion, throttled, usage, verdict, whole

waits = []
messages = [{"role": "user", "content": "hi"}]


def attempts(library, hint):
    """How many requests were sent, and the first wait. Nothing is slept: the wait is noted."""
    waits.clear()
    good = whole(200, completion(usage=usage(9, 3))) if library is openai else throttled()
    upstream = Upstream(throttled(retry_after=hint), good)
    with mock.patch("time.sleep", waits.append):
        try:
            if library is openai:
                client = openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="none")
                client.chat.completions.create(model="qwen-plus", messages=messages)
            else:
                client = anthropic.Anthropic(base_url=upstream.url, api_key="none")
                client.messages.create(model="qwen-plus", messages=messages, max_tokens=9)
        except (openai.RateLimitError, anthropic.RateLimitError):
            pass
    return len(upstream.requests), waits[0] if waits else None


seen = {(library.__name__, hint): attempts(library, hint) for library in (openai, anthropic) for hint in ("61", "120", "121", "86400")}
stated = {
    ("openai", "61"): (2, 61.0),
    ("openai", "120"): (2, 120.0),
    ("openai", "121"): (1, None),
    ("openai", "86400"): (1, None),
    ("anthropic", "61"): (3, 61.0),
    ("anthropic", "120"): (3, 120.0),
    ("anthropic", "121"): (3, 121.0),
    ("anthropic", "86400"): (3, 86400.0),
}
verdict(seen, stated)
END
