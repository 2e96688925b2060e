-- Closes the account for everybody, and slows it.
--
-- KEYS[2]  the members: a hash of what each holds.
-- ARGV[14] microseconds for which it is closed
-- ARGV[15] the member that heard of the throttle
-- ARGV[16] ARGV[17] the shares of requests and tokens that throttles have left it, of 65536
--
-- Returns the microseconds for which the account is closed now.

local failed = load()
if failed then return failed end
state.p = max(state.p, now + tonumber(ARGV[14]))
-- What flows in while it is closed goes to nobody, and there is no burst when it opens.
state.pr, state.pt, state.xr, state.xt = min(state.pr, 0), min(state.pt, 0), min(state.xr, 0), min(state.xt, 0)
state.sr, state.st = min(state.sr, tonumber(ARGV[16])), min(state.st, tonumber(ARGV[17]))
-- With the member too, or the next heartbeat of another would forget it.
local entry = redis.call('HGET', KEYS[2], ARGV[15])
if entry then
  local before, after = string.match(entry, '^(%S+ %S+ %S+ %S+) %S+ %S+ (.*)$')
  if before then redis.call('HSET', KEYS[2], ARGV[15], table.concat({ before, ARGV[16], ARGV[17], after }, ' ')) end
end
save()
return state.p - now
