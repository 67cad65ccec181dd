-- What the maps and lists say of some records that their owner remembers, read at one instant.
-- KEYS: 1 log, 2 base, 3 map of ticks, 4 map of ids, then lists of symbols.
-- ARGV: 1 how many ticks follow, those ticks, and then ids.
-- Returns the index at which the log begins, its last index (-1 if it is empty), the sizes of both maps, the index of each
-- tick and id, and the length and last element of each list; false where there is none, or another type.
local function or_false(value)
  if type(value) == 'table' and value['err'] then
    return false
  end
  return value
end

local function run(keys, args)
  local newest = redis.pcall('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)
  local last = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or -1
  local first = tonumber(or_false(redis.pcall('HGET', keys[2], 'size')) or 0) or 0
  local found = {first, last, or_false(redis.pcall('HLEN', keys[3])) or 0, or_false(redis.pcall('HLEN', keys[4])) or 0}
  local ticks = tonumber(args[1])
  for i = 2, #args do
    table.insert(found, or_false(redis.pcall('HGET', keys[i <= ticks + 1 and 3 or 4], args[i])))
  end
  for i = 5, #keys do
    table.insert(found, or_false(redis.pcall('LLEN', keys[i])) or 0)
    table.insert(found, or_false(redis.pcall('LINDEX', keys[i], -1)))
  end
  return found
end
