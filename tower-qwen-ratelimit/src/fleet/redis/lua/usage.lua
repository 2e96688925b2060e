-- Adds to the usage of a day, once. A sum that grows too large stays at the most that a field holds; a field that is none is
-- left as it is. Neither keeps the others from being added.
--
-- KEYS[1] the day: a hash of sums   KEYS[2] the mark of what is added
-- ARGV[1] milliseconds for which the day is kept   ARGV[2] milliseconds for which the mark is kept
-- ARGV[3..] fields, each with what is added to it
--
-- Returns 1, or 0 for a repeat.

if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then return 0 end
for i = 3, #ARGV, 2 do
  local sum = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  if type(sum) == 'table' and string.find(sum.err, 'overflow') then
    redis.call('HSET', KEYS[1], ARGV[i], '9223372036854775807')
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
