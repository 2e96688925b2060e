-- The gates of one account, before every script that touches them.
--
-- KEYS[1]   the account: a hash.
-- ARGV[1]   server time in microseconds, given by tests alone; else empty.
-- ARGV[2-9] the quota: requests, tokens, microseconds of the window, burst of requests, burst of tokens, whether it is
--           paced evenly (1 or 0), tokens of a day (-1: no limit), microseconds after midnight at which the day begins.
--
-- Times are microseconds since the account was made, by a clock that never runs backwards. The state stands at `v`, which
-- may lie ahead of the present: it is the instant of the latest booking. Levels are kept as amount x microseconds of the
-- window. All numbers are whole and below 2^53, where doubles are exact; beyond that they are rounded by one in 10^15.
--
-- o   what is added to the server's time       w         length of the window
-- t   the latest time seen                     qr, qt    rates: amounts per window
-- v   the instant at which the state stands    lr, lt    levels of the buckets
-- n   number of the newest slot                rs ts es  sums of the rings: requests, tokens, tokens dated at the end
-- p   closed until then                        r0-r127   slots of the rings; so t0-, e0-
-- d, du  number of the day, its tokens         sr, st    shares of the quota in use, of 65536: below after a throttle
-- c, g   tokens ever charged, given back       m         members, as the latest heartbeat counted them
-- k      until then a part is leased

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

local FIELDS = { 'o', 't', 'v', 'n', 'w', 'qr', 'qt', 'lr', 'lt', 'rs', 'ts', 'es', 'p', 'd', 'du', 'sr', 'st', 'c', 'g', 'm', 'k' }
local state, now, wall = {}, 0, 0

local function share_of(amount, share)
  return max(floor(amount * share / FULL), min(amount, 1))
end

-- What may be used at present, by what members have heard of throttles.
local function allowed_requests() return share_of(quota.requests, state.sr) end
local function allowed_tokens() return share_of(quota.tokens, state.st) end

-- Lets the time pass up to `to`: buckets fill, slots leave their rings.
local function advance(to)
  if to > state.v then
    if quota.smooth then
      state.lr = min(state.lr + state.qr * (to - state.v), quota.burst_requests * state.w)
      state.lt = min(state.lt + state.qt * (to - state.v), quota.burst_tokens * state.w)
    end
    state.v = to
  end
  local newest = floor(state.v / width) + SLOTS
  local passed = newest - state.n
  if passed <= 0 then return end
  if passed >= SLOTS then
    local gone = {}
    for i = 0, SLOTS - 1 do
      gone[#gone + 1], gone[#gone + 2], gone[#gone + 3] = 'r' .. i, 't' .. i, 'e' .. i
    end
    redis.call('HDEL', account, unpack(gone))
    state.rs, state.ts, state.es = 0, 0, 0
  else
    local gone = {}
    for slot = state.n + 1, newest do
      local i = slot % SLOTS
      gone[#gone + 1], gone[#gone + 2], gone[#gone + 3] = 'r' .. i, 't' .. i, 'e' .. i
    end
    local left = redis.call('HMGET', account, unpack(gone))
    for i = 1, #gone, 3 do
      state.rs = state.rs - (tonumber(left[i]) or 0)
      state.ts = state.ts - (tonumber(left[i + 1]) or 0)
      state.es = state.es - (tonumber(left[i + 2]) or 0)
    end
    redis.call('HDEL', account, unpack(gone))
  end
  state.n = newest
end

-- Reads the state and brings it to the present. An account that is not there starts with empty buckets.
local function load()
  wall = server_time()
  local values = redis.call('HMGET', account, unpack(FIELDS))
  for i, field in ipairs(FIELDS) do state[field] = tonumber(values[i]) end
  if not state.v then
    state = {
      o = -wall, t = 0, v = 0, n = SLOTS, w = quota.window, qr = quota.requests, qt = quota.tokens, lr = 0, lt = 0,
      rs = 0, ts = 0, es = 0, p = 0, d = 0, du = 0, sr = FULL, st = FULL, c = 0, g = 0, m = 1, k = 0,
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
  advance(now)
  state.qr, state.qt = allowed_requests(), allowed_tokens()
  local day = floor((wall - quota.day_begins) / 86400000000)
  if day ~= state.d then state.d, state.du = day, 0 end
end

-- Keeps the state for as long as it says more than a new account would.
local function save()
  local fields = {}
  for i, field in ipairs(FIELDS) do
    fields[2 * i - 1], fields[2 * i] = field, string.format('%.0f', state[field])
  end
  redis.call('HSET', account, unpack(fields))
  local owed = max(-state.lr / max(state.qr, 1), -state.lt / max(state.qt, 1), 0)
  local keep = 2 * state.w + owed + max(state.v, state.p) - now
  if quota.day_tokens >= 0 and state.du > 0 then keep = max(keep, 86400000000) end
  redis.call('PEXPIRE', account, string.format('%.0f', ceil(keep / 1000) + 1000))
end

-- Adds to a slot of a ring, or takes from it; nothing once the slot has left.
local function add(ring, slot, amount)
  if amount == 0 or slot > state.n or state.n - slot >= SLOTS then return end
  local field = ring .. (slot % SLOTS)
  local before = tonumber(redis.call('HGET', account, field)) or 0
  local after = max(before + amount, 0)
  redis.call('HSET', account, field, string.format('%.0f', after))
  local sum = ring .. 's'
  state[sum] = state[sum] + after - before
end

-- Gives to the buckets, or takes from them: they may owe.
local function give(requests, tokens)
  if not quota.smooth then return end
  state.lr = min(state.lr + requests * state.w, quota.burst_requests * state.w)
  state.lt = min(state.lt + tokens * state.w, quota.burst_tokens * state.w)
end

local function slot_at(time) return floor(max(time, 0) / width) + SLOTS end

-- What is charged, given back, in all.
local function count(tokens)
  if tokens >= 0 then state.c = state.c + tokens else state.g = state.g - tokens end
end
