-- Find the consumers of a stream's groups that have been idle for long and have nothing pending; delete them if asked to.
-- KEYS: 1 the stream. ARGV: 1 idle time in ms, 2 '1' to delete them. Returns {group, consumer, ...}.
-- Listing and deleting are one step: a consumer that reads in between would lose what it has pending.
local function fields(list)
  local found = {}
  for i = 1, #list, 2 do
    found[list[i]] = list[i + 1]
  end
  return found
end

local function run(keys, args)
  local dead = {}
  if redis.call('TYPE', keys[1]).ok ~= 'stream' then
    return dead
  end
  for _, listed in ipairs(redis.call('XINFO', 'GROUPS', keys[1])) do
    local group = fields(listed).name
    for _, entry in ipairs(redis.call('XINFO', 'CONSUMERS', keys[1], group)) do
      local consumer = fields(entry)
      if consumer.pending == 0 and consumer.idle >= tonumber(args[1]) then
        if args[2] == '1' then
          redis.call('XGROUP', 'DELCONSUMER', keys[1], group, consumer.name)
        end
        dead[#dead + 1] = group
        dead[#dead + 1] = consumer.name
      end
    end
  end
  return dead
end
