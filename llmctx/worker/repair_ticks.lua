-- Correct entries of the map of ticks, or of ids, that no record bears out.
-- KEYS: 1 lease, 2 map, 3 hash of repairs, 4 log.
-- ARGV: 1 owner, then for each tick: its id, the wrong index or '' for none, the right one or '', '1' if the log was
--       found to have no record at the wrong index.
-- If it has one now, another server was read, which had forgotten it: nothing is changed.
local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  for i = 2, #args, 4 do
    local at = args[i + 1] .. '-1'
    if args[i + 3] == '1' and #redis.call('XRANGE', keys[4], at, at) > 0 then
      return redis.error_reply('BEHIND another server was read')
    end
  end
  for i = 2, #args, 4 do
    if (redis.call('HGET', keys[2], args[i]) or '') == args[i + 1] then
      if args[i + 2] == '' then
        redis.call('HDEL', keys[2], args[i])
      else
        redis.call('HSET', keys[2], args[i], args[i + 2])
      end
      redis.call('HINCRBY', keys[3], string.match(keys[2], '[^:]+$'), 1)
    end
  end
  return 0
end
