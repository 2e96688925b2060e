# The gateway beside those that people use: Portkey's open one and LiteLLM's proxy, all before one mock that answers at once.
# Both are pinned with all that they need. It is not one of all: it needs a gigabyte of disk, and takes fifteen minutes.
#   bash .ci/accept server_peers
#
# Three protocols. Ours is that of server_overhead: the processor's time of a call, which depends least on what else the machine
# does. That of On the Bench (github.com/GetBusbar/benchmarking, README, "What it measures"): the gateway alone on its processors
# and the load on others, what it adds to the median and the p99 of a direct call, one at a time, and the most calls a second with
# a p99 of at most 1, 5, 10, 50 and 100 ms as connections double; there a gateway has four processors, here one. That of gwbench
# (github.com/go-llmflow/bench): what it adds to a direct call of the same round.
deployed+=(axum-server)

server_peers_parts=$PWD/.ci/accept.d/server_peers
peers=(bare ours portkey portkey_24 litellm)
# Portkey 1.15.2 from npm answers every stream with 500, on either Node.
streaming=(bare ours litellm)
connections=(1 2 4 8 16 32)
# The image that Portkey's makers publish has Node 20. A newer one takes far less of the processor, so that both are here.
portkey_node=20.20.2
portkey_24_node=24.22.3
declare -A peer_url peer_path peer_pid peer_title

# on_processors LIST: where this shell and all that it starts from now on run.
on_processors() { taskset -cp "$1" "$BASHPID" >/dev/null; }

# peer NAME TITLE URL PID HEADERS: one that is called; HEADERS has a line each.
peer() {
  peer_title[$1]=$2 peer_url[$1]=$3 peer_pid[$1]=$4 peer_path[$1]=/v1/chat/completions
  printf '%s' "${5:+$5$'\n'}" >"$work/$1.headers"
}

# start_portkey and start_litellm: as their makers recommend for production, of what concerns one process without a database. The
# folder is a new one and the environment too: nothing of the machine's keys or settings gets in.
start_portkey() { # NAME NODE_VERSION
  local port node
  port=$(free_port)
  npm install "${quietly[@]}" --ignore-scripts --prefix "$work/$1-node" "node-linux-$(node -p process.arch)@$2" >/dev/null
  node=$(echo "$work/$1-node"/node_modules/node-linux-*/bin/node)
  (
    cd "$work/portkey"
    exec env -i PATH="$PATH" HOME="$work" NODE_ENV=production \
      "$node" node_modules/@portkey-ai/gateway/build/start-server.js --port="$port" --headless
  ) >"$work/$1.log" 2>&1 &
  peer "$1" "Portkey $(jq -r .version "$work/portkey/node_modules/@portkey-ai/gateway/package.json"), Node ${2%%.*}" \
    "http://127.0.0.1:$port" $! "x-portkey-provider: openai"$'\n'"x-portkey-custom-host: $base/compatible-mode/v1"
  until_up "http://127.0.0.1:$port/" "${peer_pid[$1]}" "$work/$1.log"
}

start_litellm_alone() {
  local port key
  port=$(free_port)
  key=sk-$(python3 -c 'import secrets; print(secrets.token_hex(24))')
  cat >"$work/peer.yaml" <<YAML
model_list:
  - model_name: qwen-plus
    litellm_params: {model: openai/qwen-plus, api_base: "$base/compatible-mode/v1", api_key: none}
general_settings: {disable_spend_logs: true, disable_error_logs: true}
litellm_settings: {request_timeout: 600, set_verbose: false, json_logs: true}
YAML
  (
    cd "$work"
    exec env -i PATH="$PATH" HOME="$work" LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_MODE=PRODUCTION LITELLM_LOG=ERROR \
      LITELLM_MASTER_KEY="$key" "$work/litellm/bin/litellm" --config "$work/peer.yaml" --host 127.0.0.1 --port "$port" \
      --num_workers 1 --telemetry False
  ) >"$work/litellm.log" 2>&1 &
  peer litellm "LiteLLM $("$work/litellm/bin/python" -c 'import importlib.metadata as m; print(m.version("litellm"))')" \
    "http://127.0.0.1:$port" $! "authorization: Bearer $key"
  until_up "http://127.0.0.1:$port/health/liveliness" "${peer_pid[litellm]}" "$work/litellm.log"
  echo "LiteLLM runs on $("$work/litellm/bin/python" --version)"
}

# completed: how many answers the mock has given. settled: the same once no more come, for what a caller has left may still be in
# a gateway's queue when the caller has gone.
completed() { curl -fsS "$base/stats" | jq .completed; }
settled() {
  local count more
  more=$(completed)
  until [ "${count:-}" = "$more" ]; do
    count=$more
    sleep 0.2
    more=$(completed)
  done
  echo "$count"
}

# peer_run NAME KIND CONNECTIONS SECONDS: like `spent`. The mock must have given as many answers as came back, and at most one
# more for each connection, whose call was in hand when the run ended.
peer_run() {
  local before run calls given
  before=$(completed)
  run=$(HEADERS=$(cat "$work/$1.headers") CALL_PATH=${peer_path[$1]} spent "$2" "$3" "$4" "${peer_url[$1]}" "${peer_pid[$1]}")
  calls=$(cut -d' ' -f4 "$work/figures")
  given=$(($(settled) - before))
  if [ -z "$calls" ] || [ "$given" -lt "$calls" ] || [ "$given" -gt $((calls + $3)) ]; then
    echo "FAILED: ${peer_title[$1]} gave ${calls:-no} answers of $3 connections, the mock $given" >&2
    return 1
  fi
  echo "$calls" >>"$work/$1.calls"
  echo "$run"
}

# arguments NAMES...: them as calls.py takes them.
arguments() {
  local name
  for name in "$@"; do echo "$name=${peer_url[$name]}${peer_path[$name]}=$work/$name.headers"; done
}

# of_kind KIND: the names that have such answers.
of_kind() { if [ "$1" = whole ]; then echo "${peers[@]}"; else echo "${streaming[@]}"; fi; }

# peers_side_by_side: in turns of three seconds, 16 calls at a time and one. The first turn is longer, for those that compile
# their code while it runs.
peers_side_by_side() {
  local round kind load name seconds run
  for round in warm 1 2 3 4 5; do
    seconds=3
    [ $round = warm ] && seconds=6
    for kind in whole stream; do
      for load in 16 1; do
        for name in $([ $load = 16 ] || echo mock) $(of_kind $kind); do
          run=$(peer_run "$name" $kind $load $seconds)
          [ $round = warm ] || echo "$run" >>"$work/peers-$kind-$load-$name"
        done
        # A warm-up needs no more than the first.
        [ $round != warm ] || break
      done
    done
  done
  for kind in whole stream; do
    printf '\n| %s | us of CPU a call | times ours | calls/s, 16 at a time | one at a time: median, us | p99 | added to the median | to the p99 |\n' "$kind"
    echo '|---|---|---|---|---|---|---|---|'
    for name in $(of_kind $kind); do
      echo "| ${peer_title[$name]} | $(figure "peers-$kind-16-$name" 4) | $(times_ours $kind "$name") | $(figure "peers-$kind-16-$name" 3) |" \
        "$(figure "peers-$kind-1-$name" 1) | $(figure "peers-$kind-1-$name" 2) |" \
        "$(beyond_mock $kind "$name" 1) | $(beyond_mock $kind "$name" 2) |"
    done
  done
}

times_ours() { jq -n "$(figure "peers-$1-16-$2" 4) / $(figure "peers-$1-16-ours" 4) * 10 | round / 10"; }
beyond_mock() { jq -n "$(figure "peers-$1-1-$2" "$3") - $(figure "peers-$1-1-mock" "$3")"; }

# peers_paired: each round calls each of them once, in a new order, and a call is held against the direct one of its round.
peers_paired() {
  local kind name added tail each
  for kind in whole stream; do
    readarray -t each < <(arguments mock $(of_kind $kind))
    python3 "$server_peers_parts/calls.py" paired $kind 1000 "${each[@]}" >"$work/paired"
    printf '\n| %s, paired, 1,000 rounds | us added: median of the differences | p99 less p99 |\n|---|---|---|\n' "$kind"
    while read -r name added tail; do echo "| ${peer_title[$name]} | $added | $tail |"; done <"$work/paired"
  done
}

# peers_frontier: the most calls a second within each bound, of the medians of three runs for each number of connections.
peers_frontier() {
  local round load name bound
  for round in 1 2 3; do
    for load in "${connections[@]}"; do
      for name in mock "${peers[@]}"; do
        peer_run "$name" whole "$load" 2 >>"$work/frontier-$name-$load"
      done
    done
  done
  printf '\n| whole: most calls/s (connections) with a p99 of at most | 1 ms | 5 ms | 10 ms | 50 ms | 100 ms | any |\n|---|---|---|---|---|---|---|\n'
  for name in mock "${peers[@]}"; do
    for load in "${connections[@]}"; do
      echo "$load $(cut -d' ' -f2 "$work/frontier-$name-$load" | median) $(cut -d' ' -f3 "$work/frontier-$name-$load" | median)"
    done >"$work/frontier-$name"
    printf '| %s |' "${peer_title[$name]}"
    for bound in 1 5 10 50 100 1000000; do
      awk -v us=$((bound * 1000)) '$2 <= us && $3 > most { most = $3; load = $1 }
        END { if (load) printf " %d (%d) |", most, load; else printf " - |" }' "$work/frontier-$name"
    done
    echo
  done
}

# peers_answer: each gives what the mock gives, and no answer comes from elsewhere.
peers_answer() {
  local kind before each calls=0
  before=$(completed)
  for kind in whole stream; do
    readarray -t each < <(arguments mock $(of_kind $kind))
    python3 "$server_peers_parts/calls.py" same $kind "${each[@]}"
    calls=$((calls + ${#each[@]}))
  done
  check "answers of the mock to one call of each" "$(($(settled) - before))" "==" "$calls"
}

server_peers() {
  local load_processors gateway_processor name
  need wrk
  need python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_package python3-venv
  need npm
  mkdir "$work/portkey"
  cp "$server_peers_parts"/package*.json "$work/portkey"
  npm ci "${quietly[@]}" --ignore-scripts --prefix "$work/portkey" >/dev/null
  pinned "$work/litellm" "$PWD/.ci/accept.d/real_hosts/requirements-litellm.txt"

  # The last processor is the gateway's, the others are the load's and the mock's; where there is one, all share it.
  load_processors=$(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep=",")')
  gateway_processor=${load_processors##*,}
  load_processors=${load_processors%,*}
  echo "Processors: $gateway_processor for the gateways, $load_processors for the load and the mock. $(load_of_machine)"
  on_processors "$load_processors"
  start_mock "${answers[@]}"
  peer mock "the mock itself" "$base" "$mock"
  peer_path[mock]=/compatible-mode/v1/chat/completions
  on_processors "$gateway_processor"
  start_bare peers-bare
  peer bare "the same proxy, bare" "$gateway" "$pid"
  start_full peers-ours
  peer ours "ours" "$gateway" "$pid"
  start_portkey portkey $portkey_node
  start_portkey portkey_24 $portkey_24_node
  start_litellm_alone
  on_processors "$load_processors"

  peers_answer
  peers_side_by_side
  peers_paired
  peers_frontier
  echo
  for name in "${peers[@]}"; do
    echo "ok: ${peer_title[$name]}: the mock gave each of $(awk '{ sum += $1 } END { print sum }' "$work/$name.calls") answers"
  done
  load_of_machine
  stop_gateway "${peer_pid[bare]}"
  stop_gateway "${peer_pid[ours]}"
  for name in portkey portkey_24 litellm; do stop "${peer_pid[$name]}"; done
  stop_mock
  # Seen in busy hours: 12 to 21 times, 6 to 9, and 100 to 130.
  check "processor time of a whole call, times ours: Portkey on Node 20" "$(times_ours whole portkey)" ">=" 10
  check "processor time of a whole call, times ours: Portkey on Node 24" "$(times_ours whole portkey_24)" ">=" 4
  check "processor time of a whole call, times ours: LiteLLM" "$(times_ours whole litellm)" ">=" 60
}

load_of_machine() { echo "Load of the machine: $(cut -d' ' -f1-3 /proc/loadavg)"; }
