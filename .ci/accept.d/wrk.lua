-- Calls of a model; prints the median and p99 in microseconds, the calls per second, and how many there were.
-- CALL_PATH is another path; HEADERS are more headers or others, a line each, as other servers want them.
wrk.method = "POST"
wrk.path = os.getenv("CALL_PATH") or "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer sk-study"
for name, value in (os.getenv("HEADERS") or ""):gmatch("([^:\n]+): ([^\n]+)") do
  wrk.headers[name] = value
end

local stream = os.getenv("KIND") == "stream" and "true" or "false"
wrk.body = '{"model":"qwen-plus","stream":' .. stream .. ',"messages":[{"role":"system","content":"You are a helpful assistant."},'
  .. '{"role":"user","content":"Which rivers of Europe flow into the North Sea? Name the longest ten."}]}'

function done(summary, latency)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  if errors > 0 then
    print("errors " .. errors)
    os.exit(1)
  end
  local rate = summary.requests / (summary.duration / 1e6)
  print(string.format("figures %d %d %.1f %d", latency:percentile(50), latency:percentile(99), rate, summary.requests))
end
