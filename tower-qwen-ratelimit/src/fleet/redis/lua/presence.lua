-- A process says that it lives, or leaves; and learns how many live in the whole namespace, whatever they are doing.
--
-- KEYS[1] the processes: a sorted set of members by the server's time until which each is believed, in microseconds
-- ARGV[1] server time in microseconds, given by tests alone; else empty
-- ARGV[2] the member   ARGV[3] microseconds for which it is believed; 0: it leaves
--
-- Returns how many live.

local now, term = tonumber(ARGV[1]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if term > 0 then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + term), ARGV[2])
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(term / 1000) + 1000))
else
  redis.call('ZREM', KEYS[1], ARGV[2])
end
return redis.call('ZCARD', KEYS[1])
