-- Closes the account for everybody, and slows it.
--
-- KEYS[2]  the members: a hash of what each holds.
-- ARGV[10] microseconds for which it is closed
-- ARGV[11] the member that heard of the throttle
-- ARGV[12] ARGV[13] the shares of requests and tokens that throttles have left it, of 65536
--
-- Returns the microseconds for which the account is closed now.

local failed = load()
if failed then return failed end
state.p = max(state.p, now + tonumber(ARGV[10]))
state.sr, state.st = min(state.sr, tonumber(ARGV[12])), min(state.st, tonumber(ARGV[13]))
-- With the member too, or the next heartbeat of another would forget it.
local entry = redis.call('HGET', KEYS[2], ARGV[11])
if entry then
  local before, after = string.match(entry, '^(%S+ %S+ %S+ %S+) %S+ %S+ (.*)$')
  if before then redis.call('HSET', KEYS[2], ARGV[11], table.concat({ before, ARGV[12], ARGV[13], after }, ' ')) end
end
save()
return state.p - now
