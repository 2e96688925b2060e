-- Dates a booked call anew: it goes out now and not, as was booked, earlier.
--
-- KEYS[2]  the reservation: a string.
-- ARGV[14] milliseconds for which the reservation is remembered
--
-- Returns 1, or 0 where there is nothing to date.

local failed = load()
if failed then return failed end
local known = redis.call('GET', KEYS[2])
local booked, input, output, day, number = string.match(known or '', '^b %d+ (%d+) (%d+) (%d+) (-?%d+) (%d+)$')
local slot = slot_at(now)
if not booked or tonumber(booked) >= slot then return 0 end
booked, input, output = tonumber(booked), tonumber(input), tonumber(output)
add(booked, -1, -input - output, -input)
add(slot, 1, input + output, input)
if tonumber(day) ~= state.d then state.du = state.du + input + output end
booked = string.format('b %.0f %.0f %.0f %.0f %.0f %s', now, slot, input, output, state.d, number)
redis.call('SET', KEYS[2], booked, 'PX', ARGV[14])
save()
return 1
