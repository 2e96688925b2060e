-- A member leaves: what it held is free.
--
-- KEYS[2]  the members: a hash.
-- ARGV[10] the member

local failed = load()
if failed then return failed end
redis.call('HDEL', KEYS[2], ARGV[10])
save()
return 1
