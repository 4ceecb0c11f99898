-- Reserves a nonce, in the one memory that the asking node believes in: between its last look and this call the server
-- may have been flushed or set back, and a nonce that is new to it then proves nothing.
-- KEYS[1] nonce; KEYS[2] hash about the memory, see heartbeat.lua. ARGV[1] ms to live; ARGV[2] mark and ARGV[3] beat
-- that the node knows; ARGV[4] the node's clock in ms; ARGV[5] ms by which its clock and this one may differ.
-- Returns 1 reserved, 0 seen before, 2 this is another memory, 3 the clocks differ.
local found = redis.call('HMGET', KEYS[2], 'mark', 'beat')
if found[1] ~= ARGV[2] or (tonumber(found[2]) or 0) < tonumber(ARGV[3]) then return 2 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
if math.abs(now - tonumber(ARGV[4])) > tonumber(ARGV[5]) then return 3 end
if redis.call('SET', KEYS[1], '1', 'PX', ARGV[1], 'NX') then return 1 end
return 0
