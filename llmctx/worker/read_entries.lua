-- Read entries of streams as one of a consumer group, without what nobody needs of them.
-- KEYS: the streams. ARGV: 1 the group, 2 the consumer, 3 how many entries of a stream at most, 4 the bytes after which no
-- further entry is read, then for each stream: where to read on ('>' for what nobody was given yet), how many fields
-- count, and each of these with the bytes of it that are returned at most.
-- One entry is read at a time, so neither this function nor its reply grows with what others put into the streams.
-- Answers for each stream its entries as {id, {field, value, ...}}; nil in place of the fields of a deleted entry.
local function needed(fields, caps)
  local kept, size = {}, 0
  for i = 1, #fields, 2 do
    local cap = caps[fields[i]]
    size = size + #fields[i] + #fields[i + 1]
    if cap then
      kept[#kept + 1] = fields[i]
      kept[#kept + 1] = string.sub(fields[i + 1], 1, cap)
    end
  end
  return kept, size
end

local function run(keys, args)
  local at, left, answer = 5, tonumber(args[4]), {}
  for i, stream in ipairs(keys) do
    local after, count, caps, found = args[at], tonumber(args[at + 1]), {}, {}
    for j = at + 2, at + 2 * count, 2 do
      caps[args[j]] = tonumber(args[j + 1])
    end
    at = at + 2 + 2 * count
    while left > 0 and #found < tonumber(args[3]) do
      local read = redis.call('XREADGROUP', 'GROUP', args[1], args[2], 'COUNT', 1, 'STREAMS', stream, after)
      local entry = read and read[1][2][1]
      if not entry then
        break
      end
      local kept, size = false, 0
      if entry[2] then
        kept, size = needed(entry[2], caps)
      end
      found[#found + 1] = {entry[1], kept}
      left = left - size
      after = after == '>' and after or entry[1]
    end
    answer[i] = found
  end
  return answer
end
