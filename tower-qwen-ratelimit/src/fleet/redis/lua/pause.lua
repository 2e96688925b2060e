-- Closes the account for everybody, and takes what was learned of its limits.
--
-- ARGV[14] microseconds for which it is closed
-- ARGV[15-20] what the member that was throttled believes (belief.lua)
--
-- Returns the microseconds for which the account is closed now.

local failed = load()
if failed then return failed end
state.p = max(state.p, now + tonumber(ARGV[14]))
-- What flows in while it is closed goes to nobody, and there is no burst when it opens.
state.pr, state.pt, state.xr, state.xt = min(state.pr, 0), min(state.pt, 0), min(state.xr, 0), min(state.xt, 0)
learn_from(15)
save()
return state.p - now
