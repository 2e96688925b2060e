# Whether the built-in data is still looked after: prices, windows, quotas, retirements.
#   bash .ci/accept data_age                             by today's date
#   DATA_AGE_TODAY=2027-06-01 bash .ci/accept data_age   by another
#
# Not among the studies that run by default, and never among the tests: its result changes while nothing here changes.
# The weekly workflow runs it.

# The provider changes prices and retires models about once a quarter, with a notice of 30 to 90 days.
data_days=120

# data_newest FILE: the newest date of its rows. A month counts from its first day.
data_newest() {
  jq -er '[.[].date | if length == 7 then . + "-01" else . end] | max' "$1"
}

# data_is_old NEWEST TODAY: sets $days, and is true where they are too many.
data_is_old() {
  days=$((($(date -ud "$2" +%s) - $(date -ud "$1" +%s)) / 86400))
  [ "$days" -gt $data_days ]
}

data_age() {
  local today=${DATA_AGE_TODAY:-$(date -u +%F)} file newest days old status=0
  # That it can fail at all, and when: at the first day that is too late.
  data_is_old 2026-01-01 2026-05-02 && ! data_is_old 2026-01-01 2026-05-01 || {
    echo "FAILED: this check itself"
    return 1
  }
  for file in tower-qwen-tokens/data/*.json; do
    newest=$(data_newest "$file")
    # No failure: a row may be old and right. Texts of dates compare as dates do.
    old=$(jq --arg since "$(date -ud "$today - $data_days days" +%F)" '[.[] | select(.date < $since)] | length' "$file")
    if data_is_old "$newest" "$today"; then
      status=1
      echo "FAILED: $file: its newest source is of $newest, $days days before $today; at most $data_days are allowed"
    else
      echo "ok: $file: its newest source is of $newest, $days days before $today ($old of $(jq length "$file") rows are older than $data_days)"
    fi
  done
  [ $status = 0 ] || {
    echo
    echo "Refresh these files as docs/data.md says: compare each row with the provider's pages and with models.dev, change what"
    echo "has changed, and give every row that you have checked the day on which you did."
  }
  return $status
}
