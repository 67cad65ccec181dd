-- Make the stream of decisions again from the trail, without whatever somebody else put there.
-- KEYS: 1 stream, 2 the key under which it is made, 3 lease, 4 hash of repairs, then the symbol's latest for each decision.
-- ARGV: 1 owner, then for each decision, oldest first: its index and the decision as JSON.
-- Returns how many foreign entries were removed, or -1 if the key was no stream.
--
-- A stream never takes an id below its last one, and XSETID cannot lower that: hence a new key and RENAME. Consumer
-- groups keep their place and what is pending; a group that was given a foreign entry goes back to just before it.

local function is_above(one, other)
  local number, sequence = parts(one)
  local other_number, other_sequence = parts(other)
  return number > other_number or (number == other_number and sequence > other_sequence)
end

-- The last id of a decision that lies below an id.
local function below(id)
  local number, sequence = parts(id)
  if sequence > 1 then
    return string.format('%.0f-1', number)
  end
  return number > 0 and string.format('%.0f-1', number - 1) or '0-0'
end

-- The groups as they are to be: no further than what stays, and with what is pending of that.
local function kept_groups(stream, genuine, first_foreign, newest)
  local groups = groups_of(stream)
  for _, group in ipairs(groups) do
    if first_foreign and not is_above(first_foreign, group.place) then
      group.place = below(first_foreign)
    end
    group.place = is_above(group.place, newest) and newest or group.place
    for _, entry in ipairs(redis.call('XPENDING', stream, group.name, '-', '+', 100000)) do
      if genuine[entry[1]] and not is_above(entry[1], group.place) then
        table.insert(group.pending, {entry[1], entry[2]})
      end
    end
  end
  return groups
end

local function run(keys, args)
  local refused = not_held(keys[3], args[1])
  if refused then
    return refused
  end
  local stream, made = keys[1], keys[2]
  local expected, newest = {}, '0-0'
  for i = 2, #args, 2 do
    newest = args[i] .. '-1'
    expected[newest] = args[i + 1]
  end

  local foreign, groups = 0, {}
  local kind = redis.call('TYPE', stream)['ok']
  if kind == 'stream' then
    local genuine, first_foreign = {}, nil
    local oldest = #args > 1 and args[2] .. '-1' or '0-0'
    for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+')) do
      local id, fields = entry[1], entry[2]
      genuine[id] = #fields == 2 and fields[1] == 'decision' and expected[id] == fields[2]
      if not genuine[id] and not is_above(oldest, id) then
        foreign, first_foreign = foreign + 1, first_foreign or id
      end
    end
    groups = kept_groups(stream, genuine, first_foreign, newest)
  elseif kind ~= 'none' then
    foreign = -1
  end

  redis.call('DEL', made)
  for i = 2, #args, 2 do
    redis.call('XADD', made, args[i] .. '-1', 'decision', args[i + 1])
    redis.call('SET', keys[4 + i / 2], args[i + 1])
  end
  make_groups(made, groups)
  redis.call('DEL', stream)
  if redis.call('EXISTS', made) == 1 then
    redis.call('RENAME', made, stream)
  end
  if foreign ~= 0 then
    redis.call('HINCRBY', keys[4], 'decisions', math.abs(foreign))
  end
  return foreign
end
