-- The blocks in force, as { address, ms left, address, ms left, ... }; KEYS[1] as in block.lua, ARGV[1] most.
-- What is left is relative, because nodes' clocks and this server's may disagree.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', now, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
for at = 2, #found, 2 do found[at] = math.floor(tonumber(found[at]) - now) end
return found
