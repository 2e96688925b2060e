-- What the account looks like. Changes nothing.
--
-- Returns { requests in the window, tokens, tokens dated at the end, level of requests, level of tokens, closed for, booked
-- ahead, tokens ever charged, tokens ever given back, tokens of the day, members, peak level of requests, of tokens }; times in
-- microseconds.

local failed = load()
if failed then return failed end
commit()
return {
  state.rs, state.ts, state.es, floor(state.lr / state.w), floor(state.lt / state.w), max(state.p - now, 0), state.v - now,
  state.c, state.g, state.du, state.m, floor(state.pr / state.w), floor(state.pt / state.w),
}
