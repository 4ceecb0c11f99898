-- Lets an address in again on every node. Who was away learns of it from KEYS[3], which is kept for as long as a block can
-- last: what Redis does not list may also be a block that it forgot, and that is no reason to let anybody in.
-- KEYS as in block.lua; ARGV[1] address; ARGV[2] ms that a block lasts at most; ARGV[3] addresses kept at most;
-- ARGV[4] channel. Returns 1 when it was blocked, else 0.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local known = redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('PUBLISH', ARGV[4], ARGV[1])
return known
