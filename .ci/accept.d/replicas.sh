# Four gateways that share their callers' quotas and budgets over one Redis, of which one is killed, and Redis restarted.
deployed+=(axum-server)
studies+=(server_replicas)

# replica N: starts the gateway N of four; at its former address, if it had one.
replica() {
  local name=replica-$1
  cat >"$work/$name.toml" <<TOML
version = 1
[server]
listen = "127.0.0.1:${replica_ports[$1]:-0}"
[ledger]
file = "$work/$name.ledger"
[store]
redis = "redis://127.0.0.1:$redis_port"
outage = "$outage"
[[callers]]
name = "requests"
key = "sk-requests"
requests_per_minute = 300
[[callers]]
name = "tokens"
key = "sk-tokens"
tokens_per_minute = 15000
[[callers]]
name = "budget"
key = "sk-budget"
tokens_per_day = 20000
[[callers]]
name = "quiet"
key = "sk-quiet"
requests_per_minute = 600
tokens_per_minute = 100000
cost_per_day = "5 USD"
TOML
  RUST_LOG=warn,axum_server::start=info,tower_qwen_ratelimit=info start_gateway "$name" --config "$work/$name.toml"
  replica_pids[$1]=$pid
  replica_ports[$1]=${gateway##*:}
  replica_urls[$1]=$gateway
}

# What replicas.py counts a caller's most against.
replica_limits='{"requests": {"requests": 300}, "tokens": {"tokens": 15000}, "budget": {"day": 20000}}'

# replicas NAME OUTAGE REDIS_ARGS...: three minutes of load on four replicas; one is killed and started again after the first,
# Redis is away for three seconds after the second. Leaves its figures in $work/NAME.json.
replicas() {
  local name=$1 outage=$2 number load away third=${REPLICAS_SECONDS:-60}
  local redis_port=$((20000 + RANDOM % 20000)) replica_pids=() replica_ports=() replica_urls=()
  shift 2
  mkdir -p "$work/redis-$name"
  rm -f "$work"/replica-*.ledger
  start_redis "$redis_port" --dir "$work/redis-$name" "$@"
  # Each answer has the 40 tokens that its call allows, so that what a call reserves is what it costs. It takes 0.7 s, so that
  # the kill meets calls under way.
  start_mock --rpm 1000000000 --tpm 1000000000000 --enforce bucket --output-tokens 1000 --ttft 300ms --tpot 10ms
  for number in 0 1 2 3; do replica $number; done

  mkfifo "$work/$name.orders"
  python3 .ci/accept.d/replicas.py load $((3 * third)) "${replica_urls[@]}" <"$work/$name.orders" >"$work/$name-load.json" &
  load=$!
  exec 9>"$work/$name.orders"
  # A tenth later, when the second window is being used: before that callers are at their limits, and nothing is under way.
  sleep $((third + third / 10))
  echo down 2 >&9
  sleep 0.1
  kill -KILL "${replica_pids[2]}"
  wait "${replica_pids[2]}" 2>/dev/null || true
  sleep 1
  replica 2
  echo up 2 >&9
  sleep $((third - 2))
  away=$(date +%s.%N)
  kill -TERM "$redis"
  wait "$redis" 2>/dev/null || true
  sleep 3
  start_redis "$redis_port" --dir "$work/redis-$name" "$@"
  wait "$load"
  exec 9>&-

  while [ "$(curl -fsS "$base/stats" | jq .in_flight)" != 0 ]; do sleep 0.1; done
  curl -fsS "$base/stats" >"$work/stats.json"
  for number in 0 1 2 3; do
    curl -fsS -H 'authorization: Bearer sk-admin' "${replica_urls[number]}/usage" | jq .total
  done | jq -s '{calls: map(.calls) | add}' >"$work/usage.json"
  for pid in "${replica_pids[@]}"; do stop_gateway "$pid"; done
  stop_mock
  kill "$redis"
  wait "$redis" 2>/dev/null || true

  python3 .ci/accept.d/replicas.py count "$replica_limits" "$away" "$work"/replica-[0-3].ledger >"$work/counted.json"
  jq -s '.[0] + .[1] + {usage: .[3], provider: (.[2] | {calls: (.completed + .aborted), tokens: (.tokens.total + .unfinished.total)})} |
    . + {missing_calls: (.provider.calls - .calls), missing_tokens: (.provider.tokens - .tokens)}' \
    "$work/$name-load.json" "$work/counted.json" "$work/stats.json" "$work/usage.json" >"$work/$name.json"
  jq -c 'del(.outcomes)' "$work/$name.json"
  jq -c .outcomes "$work/$name.json"
}

# replicas_check NAME BOUND DAY_BOUND: what holds whatever becomes of Redis, and by the formula of docs/design.md ("Budgets of a
# fleet"), as shares of a limit: 1 while Redis answers, whoever is killed; 1 more when the four processes are cut off, each of
# which has a quarter then; and in a rolling window 1 more for a lost memory.
replicas_check() {
  local figures="$work/$1.json"
  of() { jq "$1" "$figures"; }
  check "$1: answers that are neither 200, 429 nor 503" "$(of .otherwise)" "==" 0
  check "$1: 429 without Retry-After" "$(of .rejected_without_wait)" "==" 0
  check "$1: rejected calls" "$(of .rejected)" ">" 1000
  check "$1: rejected calls of the caller below its quota" "$(of .quiet_rejected)" "==" 0
  check "$1: torn lines" "$(of .torn_lines)" "==" 0
  # The provider may have answered calls that were under way at the kill, and nobody has written that down.
  check "$1: calls that only the provider counts" "$(of .missing_calls)" ">=" 0
  check "$1: and at most those that the kill cut" "$(of .missing_calls)" "<=" "$(of .cut)"
  check "$1: their tokens" "$(of .missing_tokens)" ">=" 0
  check "$1: and at most" "$(of .missing_tokens)" "<=" "$(of '.cut * .largest_call')"
  check "$1: calls by /usage less those of the ledgers" "$(of '.usage.calls - .calls')" "==" 0
  local unit
  for unit in requests tokens day; do
    check "$1: highest before Redis is away, $unit" "$(of .highest_before.$unit)" "<=" 1
  done
  check "$1: highest, requests" "$(of .highest.requests)" "<=" "$2"
  check "$1: highest, tokens" "$(of .highest.tokens)" "<=" "$2"
  check "$1: highest, day" "$(of .highest.day)" "<=" "$3"
}

# Redis keeps its memory; loses it; and, in a shorter run, calls are rejected while it is away. The first two take three minutes
# each, since a window has one.
server_replicas() {
  need redis-server
  need python3
  local name
  replicas keeps local_share --appendonly yes
  replicas_check keeps 2 2
  replicas loses local_share
  replicas_check loses 3 2
  for name in keeps loses; do
    check "$name: calls rejected since Redis is away" "$(jq .store_away "$work/$name.json")" "==" 0
    check "$name: readiness that is not 200" "$(jq .not_ready "$work/$name.json")" "==" 0
  done
  REPLICAS_SECONDS=25 replicas rejects reject --appendonly yes
  replicas_check rejects 1 1
  check "rejects: calls rejected since Redis is away" "$(jq .store_away "$work/rejects.json")" ">" 0
  check "rejects: readiness that is not 200" "$(jq .not_ready "$work/rejects.json")" ">" 0
}
