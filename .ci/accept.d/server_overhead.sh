# What a call costs in the gateway beyond the same proxy without our layers: the processor's time, and user instructions. The
# mock answers at once, so that nothing but the work counts.
deployed+=(axum-server)
studies+=(server_overhead server_instructions)

# The prompt of wrk.lua gets one and a half times the mean: 60 tokens, in 8 events of a stream.
answers=(--rpm 1000000000 --tpm 1000000000000 --enforce bucket --output-tokens 40 --chunk-tokens 8 --ttft 0ms --tpot 0ms)

# start_bare and start_full NAME: the proxy alone, and the gateway with all that it has: limits and a budget for each caller,
# metrics, and a ledger.
start_bare() { RUST_LOG=error,axum_server::start=info start_gateway "$1" --bare; }
start_full() {
  cat >"$work/$1.toml" <<TOML
version = 1
[ledger]
file = "$work/$1.ledger"
[[callers]]
name = "study"
key = "sk-study"
requests_per_minute = 1000000000
tokens_per_minute = 1000000000000
cost_per_day = "1000000 USD"
[[callers]]
name = "other"
key = "sk-other"
requests_per_minute = 600
tokens_per_minute = 1000000
cost_per_day = "10 USD"
TOML
  RUST_LOG=error,axum_server::start=info start_gateway "$1" --config "$work/$1.toml"
}

# ticks PID: the processor's time so far, of the user and the system, with its children's. Any other process may end meanwhile.
ticks() {
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed 's/^\([0-9]*\) (.*) /\1 /' | awk -v root="$1" '
    { parent[$1] = $3; spent[$1] = $13 + $14 + $15 + $16 }
    END {
      for (one in spent) {
        for (up = one; up != root && up in parent; up = parent[up]);
        if (up == root) sum += spent[one]
      }
      print sum
    }'
}

# spent KIND CONNECTIONS SECONDS URL PID: "median p99 calls/s us-of-CPU-a-call" of one run.
spent() {
  local before tick
  tick=$((1000000 / $(getconf CLK_TCK)))
  before=$(ticks "$5")
  KIND=$1 wrk -t1 -c"$2" -d"$3"s --timeout 10s -s .ci/accept.d/wrk.lua "$4" | sed -n 's/^figures //p' >"$work/figures"
  awk -v us=$((($(ticks "$5") - before) * tick)) '{ printf "%s %s %s %.2f\n", $1, $2, $3, us / $4 }' "$work/figures"
}

# ratio RUNS FIELD: ours to bare.
ratio() { jq -n "$(figure "$1-full" "$2") / $(figure "$1-bare" "$2") * 1000 | round / 1000"; }

# Both in turns of four seconds, 16 calls at a time and one, so that what slows the machine slows both. The bounds that are
# printed are goals: the ratios move by 15 % in a busy hour, so that server_instructions has what must hold.
server_overhead() {
  need wrk
  local round kind load which url of bare bare_pid full full_pid run
  start_mock "${answers[@]}"
  start_bare overhead-bare
  bare=$gateway bare_pid=$pid
  start_full overhead-full
  full=$gateway full_pid=$pid
  for round in warm 1 2 3 4 5; do
    for kind in whole stream; do
      for load in 16 1; do
        for which in bare full; do
          url=$bare of=$bare_pid
          [ $which = full ] && url=$full of=$full_pid
          run=$(spent $kind $load 4 "$url" "$of")
          [ $round = warm ] || echo "$run" >>"$work/overhead-$kind-$load-$which"
        done
      done
    done
  done
  stop_gateway "$bare_pid"
  stop_gateway "$full_pid"
  stop_mock
  for kind in whole stream; do
    run=overhead-$kind
    echo "$kind: us of CPU a call: bare $(figure "$run-16-bare" 4), ours $(figure "$run-16-full" 4), $(ratio "$run-16" 4) times (goal: $(goal $kind 1.55 1.45))"
    echo "$kind: calls/s: bare $(figure "$run-16-bare" 3), ours $(figure "$run-16-full" 3), $(ratio "$run-16" 3) times (goal: $(goal $kind 0.75 0.8))"
    echo "$kind, one at a time: us added: median $(added "$run-1" 1), p99 $(added "$run-1" 2) (goal: 50)"
  done
}

# goal KIND WHOLE STREAM
goal() { if [ "$1" = whole ]; then echo "$2"; else echo "$3"; fi; }
# added RUNS FIELD: ours less bare.
added() { jq -n "$(figure "$1-full" "$2") - $(figure "$1-bare" "$2")"; }

# User instructions of a call, which no neighbour changes: 4 connections, counted after a warm-up.
server_instructions() {
  need wrk
  need valgrind
  start_mock "${answers[@]}"
  local which kind count
  for which in bare full; do
    count="$work/callgrind.$which"
    cat >"$work/axum-server" <<SH
#!/bin/sh
exec valgrind --tool=callgrind --callgrind-out-file="$count" "$dist/axum-server" "\$@"
SH
    chmod +x "$work/axum-server"
    dist=$work start_$which instructions-$which
    for kind in whole stream; do
      counted $kind 2 >/dev/null
      callgrind_control -z "$pid" >/dev/null 2>&1
      counted $kind 6 >"$work/calls"
      callgrind_control -d "$kind" "$pid" >/dev/null 2>&1
      # Each dump has its own file; the newest is this one.
      sed -n 's/^totals: //p' "$(ls -t "$count".* | head -n 1)" |
        awk -v calls="$(cat "$work/calls")" '{ printf "%d\n", $1 / calls }' >"$work/instructions-$which-$kind"
    done
    stop_gateway "$pid"
  done
  stop_mock
  for kind in whole stream; do
    echo "$kind: user instructions a call: bare $(cat "$work/instructions-bare-$kind"), ours $(cat "$work/instructions-full-$kind") (goal: $(goal $kind 150000 240000))"
  done
  check "instructions of a whole call" "$(cat "$work/instructions-full-whole")" "<=" 170000
  check "instructions of a stream" "$(cat "$work/instructions-full-stream")" "<=" 270000
}

# counted KIND SECONDS: so many calls there were.
counted() { KIND=$1 wrk -t1 -c4 -d"$2"s --timeout 10s -s .ci/accept.d/wrk.lua "$gateway" | sed -n 's/^figures .* //p'; }
