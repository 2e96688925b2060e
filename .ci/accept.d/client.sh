# What the stack costs a client, over loopback before a mock in its own process.
packages+=(hyper-client)
studies+=(call_cost rig)

# The processor's time of a call beyond that of the plain client, 5,000 calls a second.
call_cost() {
  start_mock --rpm 1000000000 --tpm 1000000000000 --enforce bucket --output-tokens 10
  "$bin"/call_cost "$base/compatible-mode/v1" | tee "$work/call_cost"
  stop_mock
  local case
  # The goal is 20 (docs/performance.md, "The whole stack over loopback"). It must not cost more than it did.
  for case in open waiting; do
    check "microseconds a call beyond plain, $case" "$(sed -n "s/^$case .*, \(.*\) more$/\1/p" "$work/call_cost")" "<=" 32
  done
}

# The program of docs/stacks.md, whose dependencies are too large for CI.
rig() { bash .ci/snippets docs/stacks.md; }
