-- Put one record back at its own index, byte for byte, and into map and list; repeating it changes nothing.
-- KEYS: 1 lease, 2 log, 3 map of ticks, or of ids for what others say, 4 symbol index.
-- ARGV: 1 owner, 2 index, 3 record, 4 its proof ('' for none), 5 the index that the log must reach before it, then the
-- ticks that it settles, or its id.
-- Returns 1 if it was put back now, 0 if the log already reaches its index; BEHIND if another server, with fewer records,
-- has taken over meanwhile.

-- Put an index into a symbol's list, in order; the list may have survived although the log lost records, and whoever can
-- write to it may have put there what is no index.
local function put_in_order(list, index)
  drop_unless_list(list)
  local place, listed = 0, nil
  repeat
    place = place - 1
    listed = redis.call('LINDEX', list, place)
  until not listed or (tonumber(listed) or math.huge) <= tonumber(index)
  if not listed then
    redis.call('LPUSH', list, index)
  elseif place == -1 and listed ~= index then
    redis.call('RPUSH', list, index)
  elseif listed ~= index then
    redis.call('LINSERT', list, 'AFTER', listed, index)
  end
end

local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local newest = redis.call('XREVRANGE', keys[2], '+', '-', 'COUNT', 1)
  local last = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or -1
  local is_missing = last < tonumber(args[2])
  if is_missing and last < tonumber(args[5]) then
    return redis.error_reply('BEHIND ' .. last + 1)
  end
  if is_missing then
    local fields = args[4] == '' and {'record', args[3]} or {'record', args[3], 'proof', args[4]}
    redis.call('XADD', keys[2], args[2] .. '-1', unpack(fields))
  end
  for i = 6, #args do
    redis.call('HSET', keys[3], args[i], args[2])
  end
  if args[6] and string.sub(keys[4], -1) ~= ':' then
    put_in_order(keys[4], args[2])
  end
  return is_missing and 1 or 0
end
