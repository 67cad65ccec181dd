-- Remove keys that hold a value of another type, and count them. In one step: many ask at the same time, and what one of
-- them has put right must not be removed by the next.
-- KEYS: 1 hash of repairs, then the keys to look at. ARGV: the type of each of these.
-- Returns the key and the type that it held, for each one removed.
local function run(keys, args)
  local removed = {}
  for i, kind in ipairs(args) do
    local found = redis.call('TYPE', keys[i + 1])['ok']
    if found ~= 'none' and found ~= kind then
      redis.call('DEL', keys[i + 1])
      table.insert(removed, keys[i + 1])
      table.insert(removed, found)
    end
  end
  if #removed > 0 then
    redis.call('HINCRBY', keys[1], 'types', #removed / 2)
  end
  return removed
end
