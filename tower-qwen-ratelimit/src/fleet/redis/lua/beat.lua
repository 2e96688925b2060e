-- A member says that it lives, what it holds and what it wants; and learns what is its own until when.
--
-- KEYS[2]  the members: a hash of what each holds.
-- KEYS[3]  the formats in which the account is stored: a sorted set of their numbers by the server's time until which each
--          is known to be in use. KEYS[4] the account as versions without a number stored it.
-- ARGV[14] the member              ARGV[15] microseconds until it is taken for dead
-- ARGV[16] the share of the quota that it runs on now, ARGV[17] the share that it wants; of 65536
-- ARGV[18-23] what it believes of the provider's limits (belief.lua)
-- ARGV[24] calls that may run at one time in the whole fleet (-1: any)
-- ARGV[25] slots of these that it holds now, ARGV[26] slots that it wants
-- ARGV[27] the tokens of the largest call that it knows of
-- ARGV[28] ARGV[29] requests and tokens of it that were accepted within the latest window
-- ARGV[30] the number of this format
--
-- What a member holds stays its own until it says that it runs on less, or is dead: so the shares of all never exceed the
-- whole. Wants are met evenly (max-min). Slots that cannot be divided go round.
--
-- A member that holds what was not granted here was granted it before the server lost its memory, or was cut off. Others may
-- be like it and not have been heard yet: so for a term all together get no more than what is known and told. Fields of the
-- account: z, until when; y and ys, how much of the quota and of the slots that is.
--
-- One that only books wants 1 while it has something to book, else 0; that is no share, and nothing of it is granted.
--
-- Returns { members, those of them that want something, share granted, closed for, slots granted, booked ahead, the largest
-- call; what is believed of requests: since when, steps, share; of tokens; requests and tokens that the others have used;
-- whether requests are used as fast as they flow in (1 or 0), whether tokens are; whether the account is new; another format
-- that is in use, 0: none }.

local failed = load()
if failed then return failed end
local FULL = 65536
local me, term = ARGV[14], tonumber(ARGV[15])
local mine = {
  name = me, till = now + term, held = tonumber(ARGV[16]), granted = 0, want = tonumber(ARGV[17]),
  slots = tonumber(ARGV[25]), slots_granted = 0, slots_want = tonumber(ARGV[26]), largest = tonumber(ARGV[27]),
  requests = tonumber(ARGV[28]), tokens = tonumber(ARGV[29]),
}
local most_slots = tonumber(ARGV[24])

local PARTS = {
  'till', 'held', 'granted', 'want', 'slots', 'slots_granted', 'slots_want', 'largest', 'requests', 'tokens',
}
local members, before = { mine }, nil
local entries = redis.call('HGETALL', KEYS[2])
for i = 1, #entries, 2 do
  local name = entries[i]
  local member, at = { name = name }, 0
  for number in string.gmatch(entries[i + 1], '%S+') do
    at = at + 1
    member[PARTS[at]] = tonumber(number)
  end
  if member.till <= now then
    redis.call('HDEL', KEYS[2], name)
  elseif name == me then
    before = member
  else
    members[#members + 1] = member
  end
end
table.sort(members, function(one, other) return one.name < other.name end)

-- The most that any may have of `whole` when wants are met evenly, and how many want more than that.
local function level(whole, want)
  local wants = {}
  for i, member in ipairs(members) do wants[i] = member[want] end
  table.sort(wants)
  for i, wanted in ipairs(wants) do
    local even = whole / (#wants - i + 1)
    if wanted > even then return floor(even), whole - floor(even) * (#wants - i + 1) end
    whole = whole - wanted
  end
  return nil, 0
end

-- What others hold, or may hold.
local function of_others(held, granted)
  local sum = 0
  for _, member in ipairs(members) do
    if member ~= mine then sum = sum + max(member[held], member[granted]) end
  end
  return sum
end

-- What this member was known to hold, and what it holds besides.
local function known_and_new(held, granted)
  local known = before and max(before[held], before[granted]) or 0
  return known, max(mine[held] - known, 0)
end

local function grant(whole, want, held, granted, turn)
  local others = of_others(held, granted)
  local most, rest = level(whole, want)
  local target = mine[want]
  if most and target > most then
    target = most
    -- Those who want more than the even part, in the order of their names, from a start that moves on.
    local rank, greedy = 0, 0
    for _, member in ipairs(members) do
      if member[want] > most then
        if member == mine then rank = greedy end
        greedy = greedy + 1
      end
    end
    if (rank + turn) % greedy < rest then target = target + 1 end
  end
  return max(min(target, whole - others), 0)
end

local is_lease = mine.want > 1 or mine.held > 0
if is_lease and state.c > 0 then return redis.error_reply('SHARING calls of the account are booked, so nothing can be leased') end

local told = redis.call('HMGET', account, 'z', 'y', 'ys')
local wary_until, most_parts, told_slots = tonumber(told[1]) or 0, tonumber(told[2]) or FULL, tonumber(told[3]) or 0
local known, new = known_and_new('held', 'granted')
local known_slots, new_slots = known_and_new('slots', 'slots_granted')
-- Who is idle is forgotten here but keeps its slots: only an account that is new has to be wary of them.
if new > 0 or new_slots > 0 and now - state.f < term then
  if now >= wary_until then
    most_parts, told_slots = known + of_others('held', 'granted'), known_slots + of_others('slots', 'slots_granted')
  end
  wary_until, most_parts, told_slots = now + term, min(most_parts + new, FULL), told_slots + new_slots
  redis.call('HSET', account, 'z', wary_until, 'y', most_parts, 'ys', told_slots)
end
if now >= wary_until then most_parts = FULL elseif most_slots >= 0 then most_slots = min(most_slots, told_slots) end

if is_lease then
  mine.granted = grant(most_parts, 'want', 'held', 'granted', 0)
  if mine.granted > 0 then state.k = max(state.k, mine.till) end
end
if most_slots >= 0 then
  mine.slots_granted = grant(most_slots, 'slots_want', 'slots', 'slots_granted', floor(now / term))
end

local text = {}
for i, part in ipairs(PARTS) do text[i] = string.format('%.0f', mine[part]) end
redis.call('HSET', KEYS[2], me, table.concat(text, ' '))
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', ceil(term / 1000) + 1000))

local busy, largest, requests, tokens = 0, 0, 0, 0
state.m = #members
for _, member in ipairs(members) do
  if member.want > 0 then busy = busy + 1 end
  largest = max(largest, member.largest)
  if member ~= mine then requests, tokens = requests + member.requests, tokens + member.tokens end
end

-- Less saved than a quarter of what can be: it is used as fast as it flows in.
local function is_used(level, most) return level * 4 < most * state.w and 1 or 0 end
local saved = state.b > 0 and { state.br, state.bt } or { state.lr, state.lt }
learn_from(18)
save()

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', wall))
redis.call('ZADD', KEYS[3], string.format('%.0f', wall + term), ARGV[30])
redis.call('PEXPIRE', KEYS[3], string.format('%.0f', ceil(term / 1000) + 1000))
local other_format = 0
for _, format in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  if format ~= ARGV[30] then other_format = tonumber(format) end
end
-- The first format, which had no number, is number 1.
if other_format == 0 then other_format = redis.call('EXISTS', KEYS[4]) end
return {
  #members, busy, mine.granted, max(state.p - now, 0), mine.slots_granted, max(state.v, state.b) - now, largest,
  state.hr, state.gr, state.sr, state.ht, state.gt, state.st, requests, tokens,
  is_used(saved[1], saved_requests), is_used(saved[2], saved_tokens), state.f == now and 1 or 0,
  other_format,
}
