-- The addresses let in again, as { address, ms ago, address, ms ago, ... }; KEYS[1] is KEYS[3] of block.lua.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for at = 2, #found, 2 do found[at] = math.floor(now - tonumber(found[at])) end
return found
