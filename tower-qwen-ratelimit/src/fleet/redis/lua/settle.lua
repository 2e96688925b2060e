-- Settles a call, or gives it back. Whatever comes after the first time changes nothing.
--
-- KEYS[2]  the reservation: a string.
-- ARGV[14] tokens of the prompt   ARGV[15] tokens of the answer, as they turned out
-- ARGV[16] whether the request counts (1 or 0)
-- ARGV[17] microseconds since the call was charged, ARGV[18] since its answer ended
-- ARGV[19] milliseconds for which the end is remembered
--
-- A reservation that is not known was made while this server was away, has been lost with the server's memory, or has yet
-- to arrive. What it cost is charged where it belongs, and when it arrives after all, it finds its end.
--
-- Returns 1, or 0 for a repeat.

local failed = load()
if failed then return failed end
local input, output = tonumber(ARGV[14]), tonumber(ARGV[15])
local counts = tonumber(ARGV[16])
local total = input + output

local known = redis.call('GET', KEYS[2])
if known == 's' then return 0 end
redis.call('SET', KEYS[2], 's', 'PX', ARGV[19])
local day = floor((wall - tonumber(ARGV[17]) - quota.day_begins) / 86400000000)
local slot, ended = slot_at(now - tonumber(ARGV[17])), slot_at(now - tonumber(ARGV[18]))
local charged_input, charged, charged_request, number = 0, 0, 0, nil
if known then
  local its_input, its_output
  slot, its_input, its_output, day, number = string.match(known, '^b %d+ (%d+) (%d+) (%d+) (-?%d+) (%d+)$')
  slot, day = tonumber(slot), tonumber(day)
  charged_input, charged, charged_request = tonumber(its_input), its_input + its_output, 1
end
local is_latest = state.b > 0 and tonumber(number) == state.bn
if is_latest and counts == 0 and total == 0 then
  -- Nobody has booked after it: it has never been.
  state.b = 0
else
  if is_latest then commit() end
  if known then give(charged_request - counts, charged - total) end
  add(slot, counts - charged_request, total - charged, input - charged_input)
  add(ended, 0, 0, output)
end
if day == state.d then state.du = max(state.du + total - charged, 0) end
count(total - charged)
save()
return 1
