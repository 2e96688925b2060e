# The gateway's page in a browser, with calls under way. Pictures of it stay in $PAGE_PICTURES, if that names a folder.
studies+=(page)

page() {
  type -P chromium >/dev/null || need_package chromium
  command -v node >/dev/null || need_package nodejs
  command -v npm >/dev/null || need_package npm
  npm install --silent --no-audit --no-fund --prefix "$work/browser" playwright-core@1.65.1
  cp .ci/accept.d/page.mjs "$work/browser/"
  cat >"$work/page.toml" <<FILE
version = 1
[[callers]]
name = "study"
key = "sk-study"
requests_per_minute = 50000
tokens_per_minute = 400000
[[callers]]
name = "search-frontend-production"
key = "sk-search"
requests_per_minute = 3
cost_per_day = "0.001 USD"
group = "lab"
[[groups]]
name = "lab"
cost_per_month = "140 USD"
FILE
  start_mock
  start_gateway page --config "$work/page.toml" --state "$work/page.state"
  local pictures=${PAGE_PICTURES:-$work/pictures}
  mkdir -p "$pictures"
  node "$work/browser/page.mjs" "$gateway" sk-admin "$pictures"
  stop_gateway "$pid"
  stop_mock
}
