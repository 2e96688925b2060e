-- The gates of one account, before every script that touches them.
--
-- KEYS[1]   the account: a hash.
-- ARGV[1]   server time in microseconds, given by tests alone; else empty.
-- ARGV[2-13] the quota: requests and tokens that a window may hold, microseconds of the window, requests and tokens that
--           flow in during one, what of each goes at once, what of each is saved at most, whether it is paced evenly (1 or
--           0), tokens of a day (-1: no limit), microseconds after midnight at which the day begins.
--
-- Times are microseconds by the server's clock, but never run backwards. What was booked in an earlier life of the account
-- finds its slot gone. The state stands at `v`, which may lie ahead of the present: it is the instant of the latest booking
-- but one. The latest stands apart until its instant comes or another follows, so that it can be given back as if it had
-- never been. Levels are kept as amount x microseconds of the window. All numbers are whole and below 2^53, where doubles
-- are exact; beyond that they are rounded by one in 10^15.
--
-- o   what is added to the server's time       w         length of the window
-- t   the latest time seen                     qr, qt    rates: amounts per window
-- v   the instant at which the state stands    lr, lt    what is saved: levels of the buckets that fill at the rate
-- n   number of the newest slot                pr, pt    levels of those that fill at the peak rate, and bound a burst
-- p   closed until then: nothing flows in      rs ts es  sums of the rings: requests, tokens, tokens dated at the end
--                                              r0-r127   slots of the rings; so t0-, e0-
-- d, du  number of the day, its tokens         sr, st    multiples of the quota that are believed, in 2^-32
-- c, g   tokens ever charged, given back       m         members, as the latest heartbeat counted them
-- k      until then a part is leased           f         when the account was made
-- hr, ht, gr, gt  since when (belief.lua)
-- b      instant of the latest booking while it stands apart, else 0
-- bn     its number                            bi, bo    its tokens: prompt, answer
-- br, bt, xr, xt  levels of the buckets after it, as lr, lt, pr, pt

local SLOTS, WHOLE = 128, 4294967296
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local account = KEYS[1]

local function server_time()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local quota = {
  requests = tonumber(ARGV[2]), tokens = tonumber(ARGV[3]), window = tonumber(ARGV[4]),
  rate_requests = tonumber(ARGV[5]), rate_tokens = tonumber(ARGV[6]),
  burst_requests = tonumber(ARGV[7]), burst_tokens = tonumber(ARGV[8]),
  saved_requests = tonumber(ARGV[9]), saved_tokens = tonumber(ARGV[10]),
  smooth = ARGV[11] == '1', day_tokens = tonumber(ARGV[12]), day_begins = tonumber(ARGV[13]),
}
local width = ceil(quota.window / (SLOTS - 1))

-- All of these but the slots are one field, `state`, in this order: to read and write each by itself took a third of a
-- script's time.
local FIELDS = {
  'rs', 'ts', 'es', 'c', 'g', 'o', 't', 'v', 'n', 'w', 'qr', 'qt', 'lr', 'lt', 'pr', 'pt', 'p', 'd', 'du', 'sr', 'st', 'hr',
  'ht', 'gr', 'gt', 'm', 'k', 'f', 'b', 'bn', 'bi', 'bo', 'br', 'bt', 'xr', 'xt',
}
local SUMS = { 'rs', 'ts', 'es' }
local state, now, wall = {}, 0, 0
-- Slots that were changed, by their fields. Nothing is written before save().
local slots = {}

local function share_of(amount, share)
  -- By far the most frequent case.
  if share == WHOLE then return amount end
  return max(floor(amount * share / WHOLE), min(amount, 1))
end

-- What a window may hold, by what members have learned.
local function allowed_requests() return share_of(quota.requests, state.sr) end
local function allowed_tokens() return share_of(quota.tokens, state.st) end

local function slot_at(time) return floor(max(time, 0) / width) + SLOTS end

-- What slots hold.
local function read(fields)
  local amounts = redis.call('HMGET', account, unpack(fields))
  for i, field in ipairs(fields) do amounts[i] = slots[field] or tonumber(amounts[i]) or 0 end
  return amounts
end

-- What goes at once at present, and what is saved at most: requests, tokens.
local burst_requests, burst_tokens, saved_requests, saved_tokens

-- The rate at which what is saved is spent, as of the gates in memory: one and a half times the rate.
local function peak(rate) return rate + ceil(rate / 2) end

local function rates() return share_of(quota.rate_requests, state.sr), share_of(quota.rate_tokens, state.st) end

-- Sets what buckets hold at most by the shares in use.
local function set_capacities()
  burst_requests = max(share_of(quota.burst_requests, state.sr), 1)
  burst_tokens = max(share_of(quota.burst_tokens, state.st), 1)
  saved_requests = max(share_of(quota.saved_requests, state.sr), burst_requests)
  saved_tokens = max(share_of(quota.saved_tokens, state.st), burst_tokens)
end

-- The levels of the buckets at `to`. While the account is closed nothing flows in.
local function filled(to)
  local passed, w = to - max(state.v, state.p), state.w
  if not quota.smooth or passed <= 0 then return state.lr, state.lt, state.pr, state.pt end
  return min(state.lr + state.qr * passed, saved_requests * w), min(state.lt + state.qt * passed, saved_tokens * w),
    min(state.pr + peak(state.qr) * passed, burst_requests * w), min(state.pt + peak(state.qt) * passed, burst_tokens * w)
end

-- A level between the most that a bucket owes, two windows of its rate, and the most that it holds.
local function bounded(level, rate, most)
  return max(min(level, most * state.w), -2 * rate * state.w)
end

-- What levels are once that much is given to the buckets, or taken: they may owe.
local function given(lr, lt, pr, pt, requests, tokens)
  if not quota.smooth then return lr, lt, pr, pt end
  requests, tokens = requests * state.w, tokens * state.w
  return bounded(lr + requests, quota.rate_requests, saved_requests), bounded(lt + tokens, quota.rate_tokens, saved_tokens),
    bounded(pr + requests, peak(quota.rate_requests), burst_requests),
    bounded(pt + tokens, peak(quota.rate_tokens), burst_tokens)
end

-- Lets the time pass up to `to`: buckets fill, slots leave their rings.
local function advance(to)
  state.lr, state.lt, state.pr, state.pt = filled(to)
  state.v = max(state.v, to)
  local newest = slot_at(state.v)
  local passed = newest - state.n
  if passed <= 0 then return end
  local fields = {}
  for slot = newest - min(passed, SLOTS) + 1, newest do
    local i = slot % SLOTS
    fields[#fields + 1], fields[#fields + 2], fields[#fields + 3] = 'r' .. i, 't' .. i, 'e' .. i
  end
  if passed >= SLOTS then
    for _, field in ipairs(fields) do slots[field] = 0 end
    state.rs, state.ts, state.es = 0, 0, 0
  else
    for i, amount in ipairs(read(fields)) do
      if amount > 0 then
        local sum = SUMS[(i - 1) % 3 + 1]
        state[sum] = state[sum] - amount
        slots[fields[i]] = 0
      end
    end
  end
  state.n = newest
end

-- Adds to a slot of the rings, or takes from it; nothing once the slot has left.
local function add(slot, requests, tokens, input)
  if slot > state.n or state.n - slot >= SLOTS then return end
  local i = slot % SLOTS
  local fields, amounts = { 'r' .. i, 't' .. i, 'e' .. i }, { requests, tokens, input }
  for at, before in ipairs(read(fields)) do
    local after, sum = max(before + amounts[at], 0), SUMS[at]
    if after ~= before then slots[fields[at]] = after end
    state[sum] = state[sum] + after - before
  end
end

-- The latest booking joins the others.
local function commit()
  if state.b == 0 then return end
  advance(state.b)
  state.lr, state.lt, state.pr, state.pt = state.br, state.bt, state.xr, state.xt
  add(state.n, 1, state.bi + state.bo, state.bi)
  state.b, state.br, state.bt = 0, 0, 0
end

-- Reads the state and brings it to the present, though only save() keeps that: who returns without it changes nothing. The
-- buckets of an account that is not there start with a burst: its first call goes at once.
local function load()
  wall = server_time()
  local packed = redis.call('HGET', account, 'state')
  if packed then
    local values = cmsgpack.unpack(packed)
    for i, field in ipairs(FIELDS) do state[field] = values[i] end
  else
    state = {
      o = 0, t = wall, v = wall, n = slot_at(wall), w = quota.window, qr = 0, qt = 0, lr = 0, lt = 0, pr = 0, pt = 0,
      rs = 0, ts = 0, es = 0, p = 0, d = 0, du = 0, sr = WHOLE, st = WHOLE, c = 0, g = 0, m = 1, k = 0, f = wall,
      hr = 0, ht = 0, gr = 0, gt = 0,
      -- A number that no earlier life of the account has given.
      b = 0, bn = wall, bi = 0, bo = 0, br = 0, bt = 0, xr = 0, xt = 0,
    }
    if quota.smooth then
      state.lr, state.lt = max(quota.burst_requests, 1) * state.w, max(quota.burst_tokens, 1) * state.w
      state.pr, state.pt = state.lr, state.lt
    end
  end
  if state.w ~= quota.window then
    return redis.error_reply('WINDOW the account has a window of ' .. string.format('%.0f', state.w) .. ' microseconds')
  end
  now = wall + state.o
  if now < state.t then
    -- The clock was set back, or another server has taken over whose clock is behind.
    state.o = state.t - wall
    now = state.t
  end
  state.t = now
  set_capacities()
  if state.b <= now then commit() end
  -- What has flowed in so far did so at the rates of then.
  advance(now)
  state.qr, state.qt = rates()
  local day = floor((wall - quota.day_begins) / 86400000000)
  if day ~= state.d then state.d, state.du = day, 0 end
end

-- Keeps the state for as long as it says more than a new account would.
local function save()
  local values = {}
  for i, field in ipairs(FIELDS) do values[i] = state[field] end
  local fields, gone = { 'state', cmsgpack.pack(values) }, {}
  for field, amount in pairs(slots) do
    if amount > 0 then fields[#fields + 1], fields[#fields + 2] = field, amount else gone[#gone + 1] = field end
  end
  redis.call('HSET', account, unpack(fields))
  if #gone > 0 then redis.call('HDEL', account, unpack(gone)) end
  local requests, tokens = min(state.lr, state.pr, state.br), min(state.lt, state.pt, state.bt)
  local owed = max(-requests / max(state.qr, 1), -tokens / max(state.qt, 1), 0)
  local keep = 2 * state.w + owed + max(state.v, state.p, state.b) - now
  if quota.day_tokens >= 0 and state.du > 0 then keep = max(keep, 86400000000) end
  redis.call('PEXPIRE', account, string.format('%.0f', ceil(keep / 1000) + 1000))
end

-- Gives to the buckets, or takes from them.
local function give(requests, tokens)
  state.lr, state.lt, state.pr, state.pt = given(state.lr, state.lt, state.pr, state.pt, requests, tokens)
  if state.b > 0 then
    state.br, state.bt, state.xr, state.xt = given(state.br, state.bt, state.xr, state.xt, requests, tokens)
  end
end

-- What is charged, given back, in all.
local function count(tokens)
  if tokens >= 0 then state.c = state.c + tokens else state.g = state.g - tokens end
end
