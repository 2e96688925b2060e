-- A member leaves: what it held is free.
--
-- KEYS[2]  the members: a hash.
-- ARGV[14] the member

local failed = load()
if failed then return failed end
redis.call('HDEL', KEYS[2], ARGV[14])
save()
return 1
