-- Put one record back at its own index, byte for byte; repeating it changes nothing.
-- KEYS: 1 lease, 2 log, 3 tick map, 4 symbol index.
-- ARGV: 1 owner, 2 index, 3 record, 4 its proof ('' for none), then the tick ids that it settles.
-- Returns 1 if it was put back now, 0 if the log already reaches its index.
local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local newest = redis.call('XREVRANGE', keys[2], '+', '-', 'COUNT', 1)
  if newest[1] and tonumber(string.match(newest[1][1], '^%d+')) >= tonumber(args[2]) then
    return 0
  end
  if args[4] == '' then
    redis.call('XADD', keys[2], args[2] .. '-1', 'record', args[3])
  else
    redis.call('XADD', keys[2], args[2] .. '-1', 'record', args[3], 'proof', args[4])
  end
  for i = 5, #args do
    redis.call('HSET', keys[3], args[i], args[2])
  end
  if args[5] and string.sub(keys[4], -1) ~= ':' then
    -- The list may have survived although the log lost the record.
    local listed = redis.call('LINDEX', keys[4], -1)
    if not listed or tonumber(listed) < tonumber(args[2]) then
      redis.call('RPUSH', keys[4], args[2])
    end
  end
  return 1
end
