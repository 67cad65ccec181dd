-- Remove from a log what was archived, and keep where it goes on. Calling it again changes nothing.
-- KEYS: 1 lease, 2 log, 3 base, 4 kept records, then the lists of all symbols.
-- ARGV: 1 owner, 2 the base's size before, 3 its size after, 4 how many indices follow, those of older records that stay
--       readable, and then the fields and values of the base.
-- Returns how many records were removed from the log; -1 if the base has this size already.
--
-- A record that stays is moved into a hash: a stream that begins at the base can be trimmed in one step.
local PAGE = 1000

local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local log, base, kept = keys[2], keys[3], keys[4]
  local before, after, count = tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  local size = tonumber(redis.call('HGET', base, 'size') or 0)
  if size >= after then
    return -1
  end
  if size ~= before then
    return redis.error_reply('BASE is ' .. size)
  end
  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  if not newest[1] or tonumber(string.match(newest[1][1], '^%d+')) < after then
    return redis.error_reply('BASE reaches the end of the log')
  end

  local stays = {}
  for i = 5, 4 + count do
    stays[args[i]] = true
    local found = redis.call('XRANGE', log, args[i] .. '-1', args[i] .. '-1')
    if found[1] then
      local fields = found[1][2]
      for j = 1, #fields, 2 do
        redis.call('HSET', kept, args[i] .. ' ' .. fields[j], fields[j + 1])
      end
    end
  end
  for _, name in ipairs(redis.call('HKEYS', kept)) do
    if not stays[string.match(name, '^%d+')] then
      redis.call('HDEL', kept, name)
    end
  end
  for i = 5, #keys do
    local back, more = {}, true
    while more do
      local page = redis.call('LRANGE', keys[i], 0, PAGE - 1)
      local gone = 0
      for _, index in ipairs(page) do
        if tonumber(index) == nil or tonumber(index) >= after then
          break
        end
        gone = gone + 1
        if stays[index] then
          table.insert(back, 1, index)
        end
      end
      if gone > 0 then
        redis.call('LTRIM', keys[i], gone, -1)
      end
      more = gone == PAGE
    end
    for _, index in ipairs(back) do
      redis.call('LPUSH', keys[i], index)
    end
  end
  local removed = redis.call('XTRIM', log, 'MINID', '=', args[3] .. '-0')
  redis.call('HSET', base, unpack(args, 5 + count))
  return removed
end
