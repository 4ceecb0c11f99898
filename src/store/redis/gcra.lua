-- One call against one bucket: the same arithmetic as gcra.ts, atomic for all nodes.
-- The clock is Redis's own (TIME): nodes whose clocks disagree would each see another bucket, and the node
-- whose clock runs ahead would spend for all. Effects are replicated, not the script, so TIME is allowed.
-- KEYS[1] bucket; ARGV[1] price of this call, ARGV[2] capacity, both in whole microseconds.
-- Returns the backlog before the call in microseconds; the caller judges from it.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local price = tonumber(ARGV[1])
local capacity = tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
local backlog = math.min(math.max(tat - now, 0), capacity)
if backlog + price <= capacity then
  local after = backlog + price
  -- Expires when the bucket is full again: an absent bucket is a full one.
  redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
end
return backlog
