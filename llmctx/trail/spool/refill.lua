-- Put one record back at its own index, byte for byte, and into map and list; repeating it changes nothing.
-- KEYS: 1 lease, 2 log, 3 map of ticks, or of ids for what others say, 4 symbol index.
-- ARGV: 1 owner, 2 index, 3 record, 4 its proof ('' for none), then the ticks that it settles, or its id.
-- Returns 1 if it was put back now, 0 if the log already reaches its index.
local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local newest = redis.call('XREVRANGE', keys[2], '+', '-', 'COUNT', 1)
  local is_missing = not newest[1] or tonumber(string.match(newest[1][1], '^%d+')) < tonumber(args[2])
  if is_missing then
    local fields = args[4] == '' and {'record', args[3]} or {'record', args[3], 'proof', args[4]}
    redis.call('XADD', keys[2], args[2] .. '-1', unpack(fields))
  end
  for i = 5, #args do
    redis.call('HSET', keys[3], args[i], args[2])
  end
  if args[5] and string.sub(keys[4], -1) ~= ':' then
    drop_unless_list(keys[4])
    -- The list may have survived although the log lost the record.
    local listed = redis.call('LINDEX', keys[4], -1)
    if not listed or tonumber(listed) < tonumber(args[2]) then
      redis.call('RPUSH', keys[4], args[2])
    end
  end
  return is_missing and 1 or 0
end
