-- What one process holds of the limits of budgets: it reports that, and takes more for calls.
--
-- KEYS[1]  when the server's memory began: a string.
-- KEYS[i]  a limit, in one calendar period or in a rolling one at all times: a hash.
-- ARGV[1]  server time in microseconds, given by tests alone; else empty
-- ARGV[2]  the member   ARGV[3] the number of this report, which grows
-- ARGV[4]  what is taken beforehand: what is left, divided by this; nothing where another call needs more
-- then for each limit ten: the limit; what the member was granted, as the store said last; what it goes on with, and what
--          its calls use of that; the life of the hash, the sum of all and the part of it that is of earlier lives, as the
--          store said last; milliseconds for which the hash is kept (0: for ever); milliseconds after which a member is
--          forgotten that does not report (0: never); 1 where more is taken beforehand also without a call that needs it
-- then for each call the number of its limits, and for each of them its place among the limits and what the call needs.
--
-- l  the life of the hash: when it was made       e  earlier lives: of each when it began, what was granted before it, and in it
-- s  what all were granted in this one            w  when it is next checked which members are to be forgotten
-- m: and a member: what it was granted, the number of its latest report, and when that came
--
-- What a member goes on with stands, whatever it is: less than it was granted comes back, more was spent without a grant. So
-- a reply that is lost is mended by the next report. Then each call takes what it needs of all its limits, or nothing. What
-- is granted to a member that dies stays granted in a calendar period. In a rolling one it is forgotten when the member can
-- have spent none of it within the period.
--
-- A hash that was lost with the server's memory begins a new life. Of each earlier life the largest sum that any member has
-- read is taken as granted; in a rolling period until members are forgotten that have reported nothing since.
--
-- Returns { 0 } where a later report has overtaken this one; else { 1, when the memory began; for each limit what the member
-- is granted, the sum of all, the part of it that is of earlier lives, and the life; for each call 1 or 0 }.

local floor, max, min = math.floor, math.max, math.min
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local member, number, parts = 'm:' .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
-- An empty hash of which nobody holds anything is forgotten after a minute: names may be invented.
local EMPTY_FOR = 60000
-- Hashes are checked until so many members were read, the others when the next report comes: the server does nothing else
-- meanwhile.
local MOST_CHECKED = 1000
-- A server that loses its memory more often, before members are forgotten, has its oldest lives taken as one.
local MOST_LIVES = 4

local function read_lives(text)
  local lives = {}
  for began, before, granted in string.gmatch(text, '(%d+) (%d+) (-?%d+)') do
    lives[#lives + 1] = { began = tonumber(began), before = tonumber(before), granted = tonumber(granted) }
  end
  return lives
end

-- A member has read these sums in an earlier life.
local function add_life(lives, began, before, granted)
  local at = 1
  while lives[at] and lives[at].began < began do at = at + 1 end
  local known = lives[at]
  if not known or known.began ~= began then
    table.insert(lives, at, { began = began, before = before, granted = granted })
  elseif before + granted > known.before + known.granted then
    known.before, known.granted = before, granted
  end
  if #lives > MOST_LIVES then
    local oldest = table.remove(lives, 1)
    lives[1].before = max(lives[1].before, oldest.before + oldest.granted)
  end
end

-- A life knew of those before it what was reported in it; they may have granted more to members that report only now.
local function sum_of(lives)
  local sum = 0
  for _, life in ipairs(lives) do sum = max(sum, life.before) + life.granted end
  return sum
end

local function write_lives(lives)
  local parts = {}
  for at, life in ipairs(lives) do
    parts[at] = string.format('%.0f %.0f %.0f', life.began, life.before, life.granted)
  end
  return table.concat(parts, ' ')
end

-- What all others hold that are not to be forgotten. Their sum is anew that of the hash.
local function check(key, limit)
  local fields = redis.call('HGETALL', key)
  local oldest, sum = now, 0
  for at = 1, #fields, 2 do
    local field = fields[at]
    local granted, latest, reported = string.match(fields[at + 1], '^(%d+) (%d+) (%d+)$')
    if granted and field ~= member then
      reported = tonumber(reported)
      if reported + limit.term <= now then
        limit.forgotten[#limit.forgotten + 1] = field
      else
        -- The server's clock was set back: as if it were of now.
        if reported > now then
          reported = now
          limit.changed[#limit.changed + 1] = { field, string.format('%s %s %.0f', granted, latest, now) }
        end
        oldest, sum = min(oldest, reported), sum + granted
      end
    end
  end
  limit.lives, limit.sum, limit.check_at = {}, sum, oldest + limit.term
  return #fields / 2
end

local limits, at, checked = {}, 5, 0
for i = 1, #KEYS - 1 do
  local key = KEYS[i + 1]
  local known, life, sum = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local earlier, term = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 8]) * 1000
  local fields = redis.call('HMGET', key, 'l', 'e', 's', 'w', member)
  local granted, latest = string.match(fields[5] or '', '^(%d+) (%d+) %d+$')
  if latest and tonumber(latest) >= number then return { 0 } end
  local limit = {
    most = tonumber(ARGV[at]), mine = tonumber(ARGV[at + 2]), used = tonumber(ARGV[at + 3]), keep = ARGV[at + 7], term = term,
    life = tonumber(fields[1]) or now, lives = read_lives(fields[2] or ''), sum = tonumber(fields[3]) or 0,
    check_at = min(tonumber(fields[4]) or now + term, now + term), takes = ARGV[at + 9] == '1', known = known, largest = 0,
    forgotten = {}, changed = {},
  }
  local before = tonumber(granted) or 0
  -- Who has reported nothing in a rolling period since the hash was made can have spent nothing within it.
  if life ~= limit.life and (term == 0 or now < limit.life + term) then
    if sum > 0 then add_life(limit.lives, life, earlier, sum - earlier) end
    -- What it was granted is in the sum of that life. What it gives back may be so too: then this report is older than another
    -- one of that life, and was on its way for long.
    if not granted then before = known end
    before = min(before, limit.mine)
  end
  if term > 0 and now >= limit.check_at and checked < MOST_CHECKED then
    checked = checked + check(key, limit)
    before = 0
  end
  limit.sum, limit.earlier = limit.sum + limit.mine - before, sum_of(limit.lives)
  limits[i] = limit
  at = at + 10
end

local function left(limit) return limit.most - limit.earlier - limit.sum end

local fits = {}
while ARGV[at] do
  local count, fit = tonumber(ARGV[at]), 1
  for part = 1, count do
    local limit, need = limits[tonumber(ARGV[at + 2 * part - 1])], tonumber(ARGV[at + 2 * part])
    if max(limit.used + need - limit.mine, 0) > max(left(limit), 0) then fit = 0 end
  end
  if fit == 1 then
    for part = 1, count do
      local limit, need = limits[tonumber(ARGV[at + 2 * part - 1])], tonumber(ARGV[at + 2 * part])
      local more = max(limit.used + need - limit.mine, 0)
      limit.used = limit.used + need
      limit.mine, limit.sum = limit.mine + more, limit.sum + more
      limit.takes = limit.takes or more > 0
      limit.largest = max(limit.largest, need)
    end
  end
  fits[#fits + 1] = fit
  at = at + 1 + 2 * count
end

local began = redis.call('GET', KEYS[1])
if not began then
  began = string.format('%.0f', now)
  redis.call('SET', KEYS[1], began)
end
local reply = { 1, tonumber(began) }
for i, limit in ipairs(limits) do
  if limit.takes then
    local more = floor(max(left(limit), 0) / parts)
    -- Less than another call needs would be of no use here, and might be to another member.
    if more >= limit.largest then limit.mine, limit.sum = limit.mine + more, limit.sum + more end
  end
  local key, all = KEYS[i + 1], limit.earlier + limit.sum
  for _, field in ipairs(limit.forgotten) do redis.call('HDEL', key, field) end
  for _, entry in ipairs(limit.changed) do redis.call('HSET', key, entry[1], entry[2]) end
  redis.call('HSET', key, 'l', string.format('%.0f', limit.life), 'e', write_lives(limit.lives), 's',
    string.format('%.0f', limit.sum), 'w', string.format('%.0f', limit.check_at), member,
    string.format('%.0f %.0f %.0f', limit.mine, number, now))
  -- Not before the member knows that it has nothing: it would give back once more what it has given back. Nor while an earlier
  -- life counts: a report of that life that comes late would take what the member had there off a second time.
  if limit.mine == 0 and limit.known == 0 and #limit.lives == 0 then redis.call('HDEL', key, member) end
  if all == 0 then
    redis.call('PEXPIRE', key, EMPTY_FOR)
  elseif limit.keep == '0' then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, limit.keep)
  end
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3], reply[#reply + 4] = limit.mine, max(all, 0), limit.earlier, limit.life
end
for _, fit in ipairs(fits) do reply[#reply + 1] = fit end
return reply
