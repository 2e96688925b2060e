# Clients of others, unchanged, through the gateway before the mock: one small program for each in real_clients/. What the
# gateway has booked of a client's calls is held against the mock's own count, to the token. All packages are pinned.
#   bash .ci/accept real_clients
#   REAL_CLIENTS="openai_node qwen_code" bash .ci/accept real_clients
deployed+=(axum-server)
studies+=(real_clients)

real_clients_parts=$PWD/.ci/accept.d/real_clients
# Several of them want Node 22 or a newer one. Where there is none, the one of npm is taken.
real_clients_node=24.22.3

quietly=(--loglevel=error --no-audit --no-fund --no-save)

# node_for_clients: sets $node.
node_for_clients() {
  node=$(command -v node)
  [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 22 ] || return 0
  npm install "${quietly[@]}" --ignore-scripts --prefix "$work/node" "node-linux-$(node -p process.arch)@$real_clients_node"
  node=$(echo "$work"/node/node_modules/node-linux-*/bin/node)
}

install_clients() {
  need python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_package python3-venv
  need npm
  python3 -m venv "$work/clients-venv"
  "$work"/clients-venv/bin/pip install --quiet --no-deps --requirement "$real_clients_parts/requirements.txt"
  node_for_clients
  cp -r "$real_clients_parts" "$work/clients"
  # Optional packages are native ones for terminals, and some of those that Qwen Code names are nowhere: `npm ci` fails for
  # want of them, `install` takes the versions and hashes of the lock file too. No script of a package runs.
  (cd "$work/clients" && npm install "${quietly[@]}" --ignore-scripts --omit=optional)
}

python_version() { "$work"/clients-venv/bin/pip freeze | sed -n "s/^$1==//p"; }
node_version() { jq -r .version "$work/clients/node_modules/$1/package.json"; }

# usage_of GATEWAY: tokens that it has booked.
usage_of() { curl -fsS -H 'authorization: Bearer sk-admin' "$1/usage" | jq '.total | .input_tokens + .output_tokens'; }

# one_client NAME REJECTED WINDOW TITLE COMMAND...: the rows of one client. REJECTED is how many calls the gateway has to
# reject over the quota: a client that waits as Retry-After says is rejected once, and not again. WINDOW is that of the
# quota in seconds: longer than what lies between two calls.
one_client() {
  local name=$1 rejected=$2 window=$3 title=$4 open open_pid limited seen booked counted
  shift 4
  [[ " ${REAL_CLIENTS:-$name} " == *" $name "* ]] || return 0
  # What is over the quota in one second is a prompt that is too long.
  start_mock --tpm 60000 --window 1s --require-key
  start_gateway "$name-open" "${wide[@]}" --upstream-key sk-mock
  open=$gateway open_pid=$pid
  start_gateway "$name-limited" --rpm 1 --tpm 1000000000 --window "$window" --upstream-key sk-mock
  limited=$gateway
  (
    cd "$work/clients"
    exec env -i PATH="$PATH" HOME="$work" WORK="$work" IMAGE="$picture" "$@" "$open" "$limited" sk-study "${program[@]}"
  ) >"$work/$name.rows" || echo "the program	wrong	it ended with $?" >>"$work/$name.rows"
  seen=$(curl -fsS -H 'authorization: Bearer sk-admin' "$limited/metrics" | sed -n 's/^axum_server_callers_total{outcome="requests"} //p')
  [ "${seen:-0}" = "$rejected" ] || echo "rejections	wrong	${seen:-0}, not $rejected" >>"$work/$name.rows"
  booked=$(($(usage_of "$open") + $(usage_of "$limited")))
  counted=$(curl -fsS "$base/stats" | jq .tokens.total)
  if [ "$booked" = "$counted" ] && [ "$booked" -gt 0 ]; then
    echo "tokens	ok	$booked" >>"$work/$name.rows"
  else
    echo "tokens	wrong	booked $booked, counted $counted" >>"$work/$name.rows"
  fi
  stop_gateway "$open_pid"
  stop_gateway "$pid"
  stop_mock
  awk -v title="$title" '{ print title "\t" $0 }' "$work/$name.rows" | tee -a "$work/clients.rows"
}

# A line for each client, a column for each row.
clients_table() {
  awk -F '\t' '
    !($1 in known) { known[$1]; clients[++count] = $1 }
    !($2 in rows) { rows[$2]; names[++width] = $2 }
    { cell[$1, $2] = $3 == "ok" ? ($4 == "" ? "ok" : $4) : "WRONG: " $4 }
    END {
      printf "| client |"; for (i = 1; i <= width; i++) printf " %s |", names[i]; print ""
      printf "|---|"; for (i = 1; i <= width; i++) printf "---|"; print ""
      for (c = 1; c <= count; c++) {
        printf "| %s |", clients[c]
        for (i = 1; i <= width; i++) printf " %s |", (clients[c], names[i]) in cell ? cell[clients[c], names[i]] : "-"
        print ""
      }
    }' "$work/clients.rows"
}

real_clients() {
  local python=$work/clients-venv/bin/python picture node program=()
  install_clients
  picture=$(cd "$work/clients" && "$python" -c 'import sys; sys.argv[1:] = [""] * 3; import rows; print(rows.IMAGE)')
  : >"$work/clients.rows"
  one_client openai_python 2 3 "openai (Python) $(python_version openai)" "$python" openai_python.py
  one_client openai_node 2 3 "openai (Node) $(node_version openai)" "$node" openai_node.mjs
  one_client anthropic_python 2 3 "anthropic (Python) $(python_version anthropic)" "$python" anthropic_python.py
  one_client dashscope_2 2 3 "dashscope $(python_version dashscope), \`Client\`" "$python" dashscope_2.py
  one_client dashscope_1 1 3 "dashscope $(python_version dashscope), functions of 1.x" "$python" dashscope_1.py
  one_client ai_sdk 2 3 "ai $(node_version ai), @ai-sdk/alibaba $(node_version @ai-sdk/alibaba)" "$node" ai_sdk.mjs
  one_client langchain 2 3 "@langchain/openai $(node_version @langchain/openai)" "$node" langchain.mjs
  program=("$node" "$work/clients/node_modules/@qwen-code/qwen-code/cli-entry.js")
  one_client qwen_code 1 20 "Qwen Code $(node_version @qwen-code/qwen-code)" "$python" qwen_code.py
  echo
  clients_table
  if grep -q '	wrong	' "$work/clients.rows"; then
    echo "FAILED: some rows are wrong"
    exit 1
  fi
  echo "ok: $(wc -l <"$work/clients.rows") rows of clients"
}
