-- Books a call: takes its cost at the first instant at which it fits, which may be ahead, and says how long that is. Never
-- before those that are booked already, even if what they waited for is given back.
--
-- KEYS[2]  the reservation: a string.
-- ARGV[14] tokens of the prompt   ARGV[15] tokens set aside for the answer
-- ARGV[16] the longest wait in microseconds; -1: any
-- ARGV[17] milliseconds for which the reservation is remembered
--
-- Nothing is booked beyond the end of a day whose tokens are limited: it is charged to the day in which it goes out.
--
-- Returns { 1, wait } when it is booked, the same again for a repeat; { 0, wait } when the wait would be longer than
-- allowed (-1: for ever), nothing taken; { 2, wait } when it does not go today and is to ask again, which may be sooner,
-- since tokens come back; { -1, 0 } when it was given back before it arrived.

local failed = load()
if failed then return failed end
if state.k > now then return redis.error_reply('SHARING parts of the account are leased, so nothing can be booked') end
local input, output = tonumber(ARGV[14]), tonumber(ARGV[15])
local longest = tonumber(ARGV[16])
local total = input + output

local known = redis.call('GET', KEYS[2])
if known then
  local at = tonumber(string.match(known, '^b (%d+)'))
  if not at then return { -1, 0 } end
  return { 1, max(at - now, 0) }
end

commit()

-- When a bucket that fills at `rate` has room: for an amount above a burst, when it holds a burst.
local function bucket_ready(level, rate, amount, burst)
  local missing = min(amount, burst) * state.w - level
  if not quota.smooth or missing <= 0 then return state.v end
  return max(state.v, state.p) + ceil(missing / rate)
end

local function ring_ready(ring, amount, limit)
  local sum, at = state[ring .. 's'], state.v
  local room = max(limit, amount) - amount
  if sum <= room then return at end
  local fields = {}
  for i = 1, SLOTS do fields[i] = ring .. ((state.n + i) % SLOTS) end
  for i, charged in ipairs(read(fields)) do
    if charged > 0 then
      sum = sum - charged
      at = (state.n - SLOTS + i) * width
    end
    if sum <= room then break end
  end
  return max(at, state.v)
end

local at = max(
  bucket_ready(state.lr, state.qr, 1, burst_requests),
  bucket_ready(state.pr, peak(state.qr), 1, burst_requests),
  bucket_ready(state.lt, state.qt, total, burst_tokens),
  bucket_ready(state.pt, peak(state.qt), total, burst_tokens),
  ring_ready('r', 1, allowed_requests()),
  ring_ready('t', total, allowed_tokens()),
  ring_ready('e', input, allowed_tokens()),
  state.p
)
local day_ends = (state.d + 1) * 86400000000 + quota.day_begins + state.o
if quota.day_tokens >= 0 and state.du + total > quota.day_tokens then
  if total > quota.day_tokens then return { 0, -1 } end
  at = max(at, day_ends)
end

if longest >= 0 and at - now > longest then return { 0, at - now } end
if quota.day_tokens >= 0 and at >= day_ends then return { 2, min(day_ends - now, max(state.w, 1000000)) } end

state.b, state.bn, state.bi, state.bo = at, state.bn + 1, input, output
state.br, state.bt, state.xr, state.xt = filled(at)
state.br, state.bt, state.xr, state.xt = given(state.br, state.bt, state.xr, state.xt, -1, -total)
if at <= now then commit() end
state.du = state.du + total
count(total)
local booked = string.format('b %.0f %.0f %.0f %.0f %.0f %.0f', at, slot_at(at), input, output, state.d, state.bn)
redis.call('SET', KEYS[2], booked, 'PX', ARGV[17])
save()
return { 1, at - now }
