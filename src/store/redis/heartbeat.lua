-- This node lives, how many others do, and since when this server remembers.
-- KEYS[1] sorted set of nodes by the time last seen; KEYS[2] hash about the memory: `mark`, `beat`.
-- ARGV[1] node; ARGV[2] run id of this server; ARGV[3] ms after which a silent node is gone; ARGV[4] the mark that
-- this node knows, or empty; ARGV[5] the last beat it saw; ARGV[6] ms by which an accepted signature may be dated ahead
-- of this clock; ARGV[7] '1' when this clock has jumped, so that what is kept for a time may have been freed too early.
-- Returns { live nodes, mark, beat, this clock in ms }.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local gone = tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - gone)
redis.call('PEXPIRE', KEYS[1], gone * 2)
local live = redis.call('ZCARD', KEYS[1])

local found = redis.call('HMGET', KEYS[2], 'mark', 'beat')
local mark = found[1] or ''
local beat = tonumber(found[2] or '0') or 0
local known = ARGV[4]
local seen = tonumber(ARGV[5])
-- A mark is "<run id> <remembers since, ms> <kind> <beat>"; kind is f for a memory that was first found by somebody
-- who knew of no other, l for one that follows a loss.
local run, kind = string.match(mark, '^(%S+) %d+ (%a) ')
-- A new run id means a restart or another machine: even with persistence the last second may be lost, so the memory is
-- taken to begin now. The same when the mark is gone, for then everything may be (FLUSHALL), and when the beat has gone
-- back, for then the data are older than what was seen (a dump that was loaded).
local lost = run ~= ARGV[2] or beat < seen or ARGV[7] == '1'
-- Somebody who joined found the memory empty before a node that knows of a loss did.
local untold = known ~= '' and known ~= mark and kind == 'f'
beat = math.max(beat, seen) + 1
if lost or untold then
  local first = mark == '' and known == ''
  -- Signatures dated ahead were accepted as well, and would pass as made after the loss.
  local since = first and now or now + tonumber(ARGV[6])
  mark = string.format('%s %.0f %s %.0f', ARGV[2], since, first and 'f' or 'l', beat)
  redis.call('HSET', KEYS[2], 'mark', mark)
end
redis.call('HSET', KEYS[2], 'beat', string.format('%.0f', beat))
return { live, mark, beat, now }
