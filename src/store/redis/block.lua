-- Blocks an address for every node: kept for those that start later, told to those that run now.
-- KEYS[1] sorted set of addresses by the end of their block; KEYS[2] hash of addresses to notes; KEYS[3] sorted set of
-- addresses by the time they were let in again. ARGV[1] address; ARGV[2] ms to block it; ARGV[3] blocks kept at most;
-- ARGV[4] channel; ARGV[5] note: who blocked it and why. Returns 1, or 0 when there is no room.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
repeat
  -- A thousand at a time: Lua's stack holds no more.
  local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
  if #ended > 0 then
    redis.call('ZREM', KEYS[1], unpack(ended))
    redis.call('HDEL', KEYS[2], unpack(ended))
  end
until #ended < 1000
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('PUBLISH', ARGV[4], ARGV[2] .. ' ' .. ARGV[1] .. ' ' .. ARGV[5])
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
local ends = now + tonumber(ARGV[2])
if not known or tonumber(known) < ends then
  redis.call('ZADD', KEYS[1], ends, ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[5])
end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], last[2])
redis.call('PEXPIREAT', KEYS[2], last[2])
return 1
