#!/usr/bin/env bash
# Runs: Portkey gateway 1.15.2 for Node, a config with retry {attempts: 2, on_status_codes: [429], use_retry_after_header: true},
#   before a host that answers 429 with Retry-After once, and then 200.
# Guess: it waits as long as the header says, for which the option is there.
# Happens: it comes back after 1 s, whether it is told 2 or 4 s, or nothing.
# Matters: the option for not calling too early calls too early. Where the quota is still closed the attempt is lost, and it
#   counts against the quota of most hosts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The list is beside the study that uses it too; it names 1.15.2, each package with its hash.
cp "$here"/../.ci/accept.d/server_peers/package*.json "$work"
npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$work" >/dev/null
WORK=$work PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 python3 - <<'END'
import os

from portkey import gateway
from upstream import Upstream, completion, throttled, usage, verdict, whole

seen = []
with gateway(os.environ["WORK"]) as post:
    for hint in [{}, {"Retry_After": "2"}, {"Retry_After": "4"}]:
        upstream = Upstream(throttled(**hint), whole(200, completion(usage=usage(9, 3))))
        retry = {"attempts": 2, "on_status_codes": [429], "use_retry_after_header": True}
        config = {"provider": "openai", "api_key": "none", "custom_host": f"{upstream.url}/v1", "retry": retry}
        status, _ = post(config, {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]})
        first, second = (at for at, *_ in upstream.requests)
        seen.append((status, round(second - first)))
verdict(seen, [(200, 1), (200, 1), (200, 1)])
END
