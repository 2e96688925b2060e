-- What members have learned of the provider's limits, before the scripts that bring it.
--
-- Fields of the account, for requests and tokens: hr, ht  when a refusal last showed the limit (0: never); gr, gt  steps of
-- growth since then; sr, st  the multiple of the quota that is believed.
--
-- The newest refusal wins. After it a share only grows, so of two that follow the same one that wins which has grown further.

local function learn(first, since, steps, share)
  local at, grown = tonumber(ARGV[first]), tonumber(ARGV[first + 1])
  -- Negative: so long ago.
  if at < 0 then at = max(now + at, 1) end
  -- One that lies ahead is of a server whose clock was, and must not win for ever.
  at = min(at, now)
  if at < state[since] or at == state[since] and grown <= state[steps] then return end
  state[since], state[steps], state[share] = at, grown, tonumber(ARGV[first + 2])
end

-- Takes what ARGV[first] and the five after it say: for requests, then tokens, since when, steps and share.
local function learn_from(first)
  learn(first, 'hr', 'gr', 'sr')
  learn(first + 3, 'ht', 'gt', 'st')
  state.qr, state.qt = rates()
  set_capacities()
  local w = state.w
  state.lr, state.lt = min(state.lr, saved_requests * w), min(state.lt, saved_tokens * w)
  state.pr, state.pt = min(state.pr, burst_requests * w), min(state.pt, burst_tokens * w)
  state.br, state.bt = min(state.br, saved_requests * w), min(state.bt, saved_tokens * w)
  state.xr, state.xt = min(state.xr, burst_requests * w), min(state.xt, burst_tokens * w)
end
