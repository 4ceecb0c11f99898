-- The blocks in force, as { address, ms left, note, address, ms left, note, ... }; KEYS[1] and KEYS[2] as in block.lua,
-- ARGV[1] most. What is left is relative, because nodes' clocks and this server's may disagree.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', now, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
local answer = {}
for at = 1, #found, 2 do
  answer[#answer + 1] = found[at]
  answer[#answer + 1] = math.floor(tonumber(found[at + 1]) - now)
  answer[#answer + 1] = redis.call('HGET', KEYS[2], found[at]) or ''
end
return answer
