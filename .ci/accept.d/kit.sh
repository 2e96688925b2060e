# What a maintainer checks beside the tests: licences, features, versions, documentation, the public API.
#   bash .ci/accept kit                all parts
#   bash .ci/accept kit_features       one of them; the workflow (.github/workflows/ci.yml) runs them one by one
#   bash .ci/accept kit_api_refresh    writes the lists of the public API anew
#
# Not among the studies that run by default: they measure time, this does not, and its first run builds four tools.
kit_parts=(kit_deny kit_features kit_minimal kit_msrv kit_docs kit_api kit_semver kit_loom)
kit_libraries=(tower-qwen-tokens tower-qwen-ratelimit tower-qwen-retry)

# Versions are exact, so that a check fails because of a change here and never because of a new tool.
kit_deny_version=0.20.2
kit_fuzz_version=0.13.2
kit_hack_version=0.6.46
kit_public_api_version=0.52.0
kit_semver_checks_version=0.51.0

# Tools stay here between runs; the workflow caches the folder.
kit_tools=$PWD/target/kit-tools
# Apart from the target of the tests, which has other features and flags.
kit_target=$PWD/target/kit
# For what only an unstable compiler does. The workflow names a dated one.
kit_nightly=${KIT_NIGHTLY:-nightly}

kit() {
  local part from status=0
  for part in "${kit_parts[@]}"; do
    from=$SECONDS
    # In a shell of its own, so that a part that fails does not hide the others.
    if bash .ci/accept "$part"; then
      echo "ok: $part ($((SECONDS - from)) s)"
    else
      echo "FAILED: $part ($((SECONDS - from)) s)"
      status=1
    fi
  done
  return $status
}

# kit_tool NAME VERSION: installs exactly that version, unless it is there, and puts it first on the path.
kit_tool() {
  export PATH=$kit_tools/bin:$PATH
  [[ $(cargo "${1#cargo-}" --version 2>/dev/null) == *" $2" ]] && return
  # A check is short: the time is in the build of the tool, not in its speed.
  CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --quiet --locked --root "$kit_tools" --target-dir "$kit_tools/build" --version "$2" "$1"
}

# kit_toolchain NAME: true where the compiler is there or can be had. In CI it has to be.
kit_toolchain() {
  cargo "+$1" --version >/dev/null 2>&1 && return
  rustup toolchain install --no-self-update --profile minimal "$1" >"$work/rustup.log" 2>&1 && return
  tail -n 3 "$work/rustup.log"
  [ -z "${CI:-}" ] || exit 1
  echo "SKIPPED: no Rust $1 can be had here"
  return 1
}

# kit_copy: copies the tree, changes that are not committed included, and goes there. What edits a manifest or the lock
# file edits the copy. Its path does not change, so that what was built for it is not built again.
kit_copy() {
  local copy=$kit_target/tree
  rm -rf "$copy"
  mkdir -p "$copy"
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
  done | tar --null --files-from=- --create | tar --extract --directory "$copy"
  cd "$copy"
}

# Licences, sources, and duplicates. Advisories are the workflow's: they change while nothing changes here.
kit_deny() {
  kit_tool cargo-deny $kit_deny_version
  cargo deny --all-features check bans licenses sources
}

kit_advisories() {
  kit_tool cargo-deny $kit_deny_version
  cargo deny --all-features check advisories
}

# Each library with every two of its features: an item that needs a second feature, or is dead without one. The default
# is another feature's name, or nothing, and would only repeat pairs.
kit_features() {
  kit_tool cargo-hack $kit_hack_version
  kit_copy
  local library
  for library in "${kit_libraries[@]}"; do
    RUSTFLAGS="-D warnings" CARGO_TARGET_DIR=$kit_target/features cargo hack check --quiet --package "$library" \
      --feature-powerset --depth 2 --exclude-features default --no-dev-deps
  done
}

# kit_lowest LIBRARY: the copy becomes a workspace of the library and its kin alone, locked to the lowest versions that the
# manifests allow. Where a dependency asks for more of another one (redis for a newer tokio), the copy's bound is raised:
# a user's cargo does the same, and only for those who take that dependency.
kit_lowest() {
  kit_copy
  cargo hack --quiet --remove-dev-deps --workspace
  sed -i "/^members = \[/,/^\]/c members = [\"$1\"]" Cargo.toml
  sed -i '/^mock-qwen = /d' Cargo.toml
  local name least
  for _ in $(seq 20); do
    rm -f Cargo.lock
    cargo "+$kit_nightly" update --quiet -Z direct-minimal-versions 2>"$work/update.log" && return
    name=$(sed -n 's/^error: failed to select a version for `\(.*\)`\.$/\1/p' "$work/update.log")
    least=$(sed -n 's/^versions that meet the requirements `^\([0-9.]*\)` are: .*/\1/p' "$work/update.log")
    [ -n "$name" ] && [ -n "$least" ] || break
    echo "$1: $name $least, for$(sed -n 's/.*required by package `\([^ ]* [^ `]*\).*/ \1/p' "$work/update.log" | head -n 1)"
    sed -i -E "s/^($name = (\{ version = )?)\"[^\"]*\"/\1\"$least\"/" Cargo.toml ./*/Cargo.toml
  done
  cat "$work/update.log"
  return 1
}

# Our code with the oldest dependencies that a user may have.
kit_minimal() {
  kit_toolchain "$kit_nightly" || return 0
  kit_tool cargo-hack $kit_hack_version
  local library root=$PWD
  for library in "${kit_libraries[@]}"; do
    kit_lowest "$library"
    CARGO_TARGET_DIR=$kit_target/minimal cargo check --quiet --locked --package "$library" --lib --all-features
    cd "$root"
  done
}

# The oldest compiler that the manifests name.
kit_msrv() {
  local msrv
  msrv=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  kit_toolchain "$msrv" || return 0
  local library
  for library in "${kit_libraries[@]}"; do
    CARGO_TARGET_DIR=$kit_target/msrv cargo "+$msrv" check --quiet --locked --package "$library" --lib --all-features
  done
}

# The documentation as docs.rs builds it, where items name the feature that they need.
kit_docs() {
  kit_toolchain "$kit_nightly" || return 0
  RUSTDOCFLAGS="--cfg docsrs -D warnings" CARGO_TARGET_DIR=$kit_target/docs cargo "+$kit_nightly" doc --quiet \
    "${kit_libraries[@]/#/--package=}" --all-features --no-deps
}

# kit_api_lists FOLDER: writes each library's public items there, one a line, without what every type has, nor what
# pin-project-lite writes for itself.
kit_api_lists() {
  kit_tool cargo-public-api $kit_public_api_version
  mkdir -p "$1"
  local library
  for library in "${kit_libraries[@]}"; do
    CARGO_TARGET_DIR=$kit_target/api cargo "+$kit_nightly" public-api --package "$library" --all-features -sss \
      2>"$work/api.log" >"$work/api.txt" || { cat "$work/api.log"; return 1; }
    grep -v 'pin_project_lite::__private' "$work/api.txt" >"$1/$library.txt"
  done
}

# A change of the public API shows in the diff of a change.
kit_api() {
  kit_toolchain "$kit_nightly" || return 0
  kit_api_lists "$work/api"
  diff --unified=0 --recursive --new-file docs/api "$work/api" || {
    echo "FAILED: the public API is not what docs/api lists; if that is meant: bash .ci/accept kit_api_refresh"
    return 1
  }
}

kit_api_refresh() {
  kit_api_lists docs/api
}

# Against the last release, of which there is none yet: until then there is nothing to fail.
kit_semver() {
  kit_tool cargo-semver-checks $kit_semver_checks_version
  local library status=0
  for library in "${kit_libraries[@]}"; do
    CARGO_TARGET_DIR=$kit_target/semver cargo semver-checks --package "$library" --all-features >"$work/semver.log" 2>&1 || {
      if grep -q 'not found in registry' "$work/semver.log"; then
        echo "$library: no baseline, it is not published"
        continue
      fi
      status=1
    }
    cat "$work/semver.log"
  done
  return $status
}

# kit_miri_tests LIBRARY MODULES...: fails where they have no tests, so that a renamed module is not forgotten.
kit_miri_tests() {
  local library=$1
  shift
  # proptest asks for the working directory. What is skipped has thousands of cases, or megabytes: hours, here.
  MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=4 CARGO_TARGET_DIR=$kit_target/miri \
    cargo "+$kit_nightly" miri test --package "$library" --lib -- \
    "$@" --skip memory_ --skip every_ --skip than_the_most | tee "$work/miri.log"
  grep -q '^running [1-9]' "$work/miri.log" || {
    echo "FAILED: $library has no tests of $*"
    return 1
  }
}

# Undefined behaviour, overflow and leaks in what is arithmetic or parsing alone.
kit_miri() {
  kit_toolchain "$kit_nightly" || return 0
  if ! cargo "+$kit_nightly" miri --version >/dev/null 2>&1 &&
    ! rustup component add --toolchain "$kit_nightly" miri rust-src >"$work/rustup.log" 2>&1; then
    tail -n 3 "$work/rustup.log"
    [ -z "${CI:-}" ] || return 1
    echo "SKIPPED: no Miri can be had here"
    return 0
  fi
  kit_miri_tests tower-qwen-tokens price:: scan::
  kit_miri_tests tower-qwen-ratelimit gate::
}

# Every order in which threads can meet at the retry budget's atomics. A cfg of our own: under `--cfg loom` tokio leaves out
# what hyper-util needs.
kit_loom() {
  RUSTFLAGS="--cfg tower_qwen_loom" CARGO_TARGET_DIR=$kit_target/loom \
    cargo test --quiet --package tower-qwen-retry --lib budget::model
}

# Each fuzz target, five minutes. New inputs stay out of the corpus; one that fails is in fuzz/artifacts.
kit_fuzz() {
  kit_toolchain "$kit_nightly"
  kit_tool cargo-fuzz $kit_fuzz_version
  cd tower-qwen-tokens/fuzz
  local target
  for target in $(cargo "+$kit_nightly" fuzz list); do
    mkdir -p "$work/corpus/$target"
    cargo "+$kit_nightly" fuzz run "$target" "$work/corpus/$target" "corpus/$target" -- \
      -max_total_time="${KIT_FUZZ_SECONDS:-300}" -print_final_stats=1
  done
}
