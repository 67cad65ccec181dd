-- Make a symbol's list say what the log does.
-- KEYS: 1 lease, 2 list, 3 hash of repairs, 4 log. ARGV: 1 owner, 2 the index at which the log begins, 3 its size when it was
-- read, and then the symbol's indices in between. What the list has before and after them stays, in order, as far as
-- the log goes.
-- Returns 1 if it was another list, 0 if it said so.
local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  drop_unless_list(keys[2])
  local first, size = tonumber(args[2]), tonumber(args[3])
  local newest = redis.call('XREVRANGE', keys[4], '+', '-', 'COUNT', 1)
  local last = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or -1
  local before, after, found = {}, {}, redis.call('LRANGE', keys[2], 0, -1)
  for _, index in ipairs(found) do
    local number = string.match(index, '^%d+$') and tonumber(index)
    if number and number < first and (not before[1] or number > tonumber(before[#before])) then
      table.insert(before, index)
    elseif number and number >= size and number <= last and (not after[1] or number > tonumber(after[#after])) then
      table.insert(after, index)
    end
  end
  local wanted = before
  for i = 4, #args do
    table.insert(wanted, args[i])
  end
  for _, index in ipairs(after) do
    table.insert(wanted, index)
  end
  if table.concat(wanted, ' ') == table.concat(found, ' ') then
    return 0
  end
  redis.call('DEL', keys[2])
  for i = 1, #wanted, 1000 do
    redis.call('RPUSH', keys[2], unpack(wanted, i, math.min(i + 999, #wanted)))
  end
  redis.call('HINCRBY', keys[3], 'lists', 1)
  return 1
end
