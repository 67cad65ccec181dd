-- Say how much of the log is in the spool; it never falls.
-- KEYS: 1 lease, 2 durable. ARGV: 1 owner, 2 size.
local function run(keys, args)
  local now = redis.call('TIME')
  local held = redis.call('HMGET', keys[1], 'owner', 'until_ms')
  if held[1] ~= args[1] then
    return redis.error_reply('LEASE held by ' .. (held[1] or 'nobody'))
  end
  if tonumber(held[2]) < now[1] * 1000 + math.floor(now[2] / 1000) then
    return redis.error_reply('LEASE ended')
  end
  if tonumber(redis.call('GET', keys[2]) or -1) < tonumber(args[2]) then
    redis.call('SET', keys[2], args[2])
  end
  return tonumber(args[2])
end
