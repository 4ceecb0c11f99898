-- This node lives, how many others do, and since when this server remembers.
-- KEYS[1] sorted set of nodes by the time last seen; KEYS[2] what the memory goes back to: "<run id> <ms>".
-- ARGV[1] node; ARGV[2] run id of this server; ARGV[3] ms after which a silent node is gone; ARGV[4] the
-- node's clock in ms, by which it also judges when a signature was created.
-- Returns { live nodes, ms since the epoch since when nonces are remembered }.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local gone = tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - gone)
redis.call('PEXPIRE', KEYS[1], gone * 2)
local live = redis.call('ZCARD', KEYS[1])
-- A new run id means a restart or another machine: even with persistence the last second may be lost, so
-- the memory is taken to begin now. The same when the mark is gone, for then everything may be (FLUSHALL).
local run, since = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%d+)$')
if run ~= ARGV[2] then
  since = ARGV[4]
  redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. since)
end
return { live, tonumber(since) }
