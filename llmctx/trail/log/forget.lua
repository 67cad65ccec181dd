-- Take the ticks of long archived records out of the map, a part in each call.
-- KEYS: 1 lease, 2 tick map, 3 archived ticks. ARGV: 1 owner, 2 cursor, 3 the index below which ticks are forgotten, and
--       then the fields of the archived ticks to remove with the last call.
-- Returns the next cursor, '0' at the end, and how many ticks this call forgot.
local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local below, forgotten = tonumber(args[3]), 0
  local found = redis.call('HSCAN', keys[2], args[2], 'COUNT', 1000)
  for i = 1, #found[2], 2 do
    local index = tonumber(found[2][i + 1])
    if index and index < below then
      redis.call('HDEL', keys[2], found[2][i])
      forgotten = forgotten + 1
    end
  end
  if found[1] == '0' and #args > 3 then
    redis.call('HDEL', keys[3], unpack(args, 4))
  end
  return {found[1], forgotten}
end
