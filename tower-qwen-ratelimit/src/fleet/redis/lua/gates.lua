-- The gates of one account, before every script that touches them.
--
-- KEYS[1]   the account: a hash.
-- ARGV[1]   server time in microseconds, given by tests alone; else empty.
-- ARGV[2-9] the quota: requests, tokens, microseconds of the window, burst of requests, burst of tokens, whether it is
--           paced evenly (1 or 0), tokens of a day (-1: no limit), microseconds after midnight at which the day begins.
--
-- Times are microseconds by the server's clock, but never run backwards. What was booked in an earlier life of the account
-- finds its slot gone. The state stands at `v`, which may lie ahead of the present: it is the instant of the latest booking
-- but one. The latest stands apart until its instant comes or another follows, so that it can be given back as if it had
-- never been. Levels are kept as amount x microseconds of the window. All numbers are whole and below 2^53, where doubles
-- are exact; beyond that they are rounded by one in 10^15.
--
-- o   what is added to the server's time       w         length of the window
-- t   the latest time seen                     qr, qt    rates: amounts per window
-- v   the instant at which the state stands    lr, lt    levels of the buckets
-- n   number of the newest slot                rs ts es  sums of the rings: requests, tokens, tokens dated at the end
-- p   closed until then                        r0-r127   slots of the rings; so t0-, e0-
-- d, du  number of the day, its tokens         sr, st    shares of the quota in use, of 65536: below after a throttle
-- c, g   tokens ever charged, given back       m         members, as the latest heartbeat counted them
-- k      until then a part is leased           f         when the account was made
-- b      instant of the latest booking while it stands apart, else 0
-- bn     its number                            bi, bo    its tokens: prompt, answer
-- br, bt levels of the buckets after it

local SLOTS, FULL = 128, 65536
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local account = KEYS[1]

local function server_time()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local quota = {
  requests = tonumber(ARGV[2]), tokens = tonumber(ARGV[3]), window = tonumber(ARGV[4]),
  burst_requests = max(tonumber(ARGV[5]), 1), burst_tokens = max(tonumber(ARGV[6]), 1),
  smooth = ARGV[7] == '1', day_tokens = tonumber(ARGV[8]), day_begins = tonumber(ARGV[9]),
}
local width = ceil(quota.window / (SLOTS - 1))

local FIELDS = {
  'o', 't', 'v', 'n', 'w', 'qr', 'qt', 'lr', 'lt', 'rs', 'ts', 'es', 'p', 'd', 'du', 'sr', 'st', 'c', 'g', 'm', 'k',
  'f', 'b', 'bn', 'bi', 'bo', 'br', 'bt',
}
local SUMS = { 'rs', 'ts', 'es' }
local state, loaded, now, wall = {}, {}, 0, 0
-- Slots that were changed, by their fields. Nothing is written before save().
local slots = {}

local function share_of(amount, share)
  return max(floor(amount * share / FULL), min(amount, 1))
end

-- What may be used at present, by what members have heard of throttles.
local function allowed_requests() return share_of(quota.requests, state.sr) end
local function allowed_tokens() return share_of(quota.tokens, state.st) end

local function slot_at(time) return floor(max(time, 0) / width) + SLOTS end

-- What slots hold.
local function read(fields)
  local amounts = redis.call('HMGET', account, unpack(fields))
  for i, field in ipairs(fields) do amounts[i] = slots[field] or tonumber(amounts[i]) or 0 end
  return amounts
end

-- The levels of the buckets at `to`.
local function filled(to)
  if not quota.smooth or to <= state.v then return state.lr, state.lt end
  return min(state.lr + state.qr * (to - state.v), quota.burst_requests * state.w),
    min(state.lt + state.qt * (to - state.v), quota.burst_tokens * state.w)
end

-- A level between the most that a bucket owes, two windows of its quota, and the most that it holds.
local function bounded(level, amount, burst)
  return max(min(level, burst * state.w), -2 * amount * state.w)
end

-- What levels are once that much is given to the buckets, or taken: they may owe.
local function given(level_requests, level_tokens, requests, tokens)
  if not quota.smooth then return level_requests, level_tokens end
  return bounded(level_requests + requests * state.w, quota.requests, quota.burst_requests),
    bounded(level_tokens + tokens * state.w, quota.tokens, quota.burst_tokens)
end

-- Lets the time pass up to `to`: buckets fill, slots leave their rings.
local function advance(to)
  state.lr, state.lt = filled(to)
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
  state.lr, state.lt = state.br, state.bt
  add(state.n, 1, state.bi + state.bo, state.bi)
  state.b = 0
end

-- Reads the state and brings it to the present, though only save() keeps that: who returns without it changes nothing. An
-- account that is not there starts with empty buckets.
local function load()
  wall = server_time()
  local values = redis.call('HMGET', account, unpack(FIELDS))
  for i, field in ipairs(FIELDS) do
    local value = tonumber(values[i])
    loaded[field], state[field] = value, value
  end
  if not state.v then
    state = {
      o = 0, t = wall, v = wall, n = slot_at(wall), w = quota.window, qr = quota.requests, qt = quota.tokens, lr = 0, lt = 0,
      rs = 0, ts = 0, es = 0, p = 0, d = 0, du = 0, sr = FULL, st = FULL, c = 0, g = 0, m = 1, k = 0, f = wall,
      -- A number that no earlier life of the account has given.
      b = 0, bn = wall, bi = 0, bo = 0, br = 0, bt = 0,
    }
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
  if state.b <= now then commit() end
  advance(now)
  state.qr, state.qt = allowed_requests(), allowed_tokens()
  local day = floor((wall - quota.day_begins) / 86400000000)
  if day ~= state.d then state.d, state.du = day, 0 end
end

-- Keeps the state for as long as it says more than a new account would.
local function save()
  local fields, gone = {}, {}
  for _, field in ipairs(FIELDS) do
    if state[field] ~= loaded[field] then fields[#fields + 1], fields[#fields + 2] = field, state[field] end
  end
  for field, amount in pairs(slots) do
    if amount > 0 then fields[#fields + 1], fields[#fields + 2] = field, amount else gone[#gone + 1] = field end
  end
  if #fields > 0 then redis.call('HSET', account, unpack(fields)) end
  if #gone > 0 then redis.call('HDEL', account, unpack(gone)) end
  local owed = max(-state.lr / max(state.qr, 1), -state.lt / max(state.qt, 1), 0)
  if state.b > 0 then owed = max(owed, -state.br / max(state.qr, 1), -state.bt / max(state.qt, 1)) end
  local keep = 2 * state.w + owed + max(state.v, state.p, state.b) - now
  if quota.day_tokens >= 0 and state.du > 0 then keep = max(keep, 86400000000) end
  redis.call('PEXPIRE', account, string.format('%.0f', ceil(keep / 1000) + 1000))
end

-- Gives to the buckets, or takes from them.
local function give(requests, tokens)
  state.lr, state.lt = given(state.lr, state.lt, requests, tokens)
  if state.b > 0 then state.br, state.bt = given(state.br, state.bt, requests, tokens) end
end

-- What is charged, given back, in all.
local function count(tokens)
  if tokens >= 0 then state.c = state.c + tokens else state.g = state.g - tokens end
end
