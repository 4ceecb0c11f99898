-- Blocks an address for every node: kept for those that start later, told to those that run now.
-- KEYS[1] sorted set of addresses by the end of their block; ARGV[1] address; ARGV[2] ms to block it;
-- ARGV[3] blocks kept at most; ARGV[4] channel. Returns 1, or 0 when there is no room.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PUBLISH', ARGV[4], ARGV[2] .. ' ' .. ARGV[1])
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
local ends = now + tonumber(ARGV[2])
if not known or tonumber(known) < ends then redis.call('ZADD', KEYS[1], ends, ARGV[1]) end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], last[2])
return 1
