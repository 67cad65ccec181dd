-- A stream that is made again under a new key keeps its consumer groups: what that takes, put before such a function.

-- Both numbers of a stream id.
local function parts(id)
  local number, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(number), tonumber(sequence)
end

-- The groups of a stream, each with its name and the last id that it was given.
local function groups_of(stream)
  local groups = {}
  for _, fields in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #fields, 2 do
      group[fields[i]] = fields[i + 1]
    end
    table.insert(groups, {name = group['name'], place = group['last-delivered-id'], pending = {}})
  end
  return groups
end

-- Make the groups on a stream, each with the entries that are pending: their id and consumer.
local function make_groups(stream, groups)
  for _, group in ipairs(groups) do
    redis.call('XGROUP', 'CREATE', stream, group.name, group.place, 'MKSTREAM')
    for _, entry in ipairs(group.pending) do
      redis.call('XCLAIM', stream, group.name, entry[2], 0, entry[1], 'FORCE', 'JUSTID')
    end
  end
end
