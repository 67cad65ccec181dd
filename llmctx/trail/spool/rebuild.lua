-- Copy a partition's log under a new key, a part in each call, without what does not belong there; the last call puts
-- the copy in the log's place. A stream's last id cannot be lowered, so nothing less brings a place back.
-- KEYS: 1 lease, 2 log, 3 the copy.
-- ARGV: 1 owner, 2 the index below which every record stays, 3 the last id that was looked at ('' for none), 4 the id
--       after which this call goes on ('' for the beginning, which drops an older copy), 5 the id up to which it goes ('+'
--       replaces the log once all is copied), 6 how many entries it copies, 7 how many indices follow, those from 2 on
--       that stay, and then index, record and proof of each record to put in.
-- Returns the id after which the next call goes on, and 1 if this one reached its end.
local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local log, copy = keys[2], keys[3]
  local start, seen, cursor, to, count = tonumber(args[2]), args[3], args[4], args[5], tonumber(args[6])
  local kept = tonumber(args[7])
  local seen_number, seen_sequence = -1, -1
  if seen ~= '' then
    seen_number, seen_sequence = parts(seen)
  end
  local keep = {}
  for i = 8, 7 + kept do
    keep[tonumber(args[i])] = true
  end
  if cursor == '' then
    redis.call('DEL', copy)
  end
  local newest = redis.call('XREVRANGE', copy, '+', '-', 'COUNT', 1)
  local last = newest[1] and parts(newest[1][1]) or -1
  local put = 8 + kept

  local function put_in(before)
    while args[put] and tonumber(args[put]) < before do
      if tonumber(args[put]) > last then
        last = tonumber(args[put])
        local id = args[put] .. '-1'
        if args[put + 2] == '' then
          redis.call('XADD', copy, id, 'record', args[put + 1])
        else
          redis.call('XADD', copy, id, 'record', args[put + 1], 'proof', args[put + 2])
        end
      end
      put = put + 3
    end
  end

  local found = redis.call('XRANGE', log, cursor == '' and '-' or '(' .. cursor, to, 'COUNT', count)
  for _, entry in ipairs(found) do
    local number, sequence = parts(entry[1])
    local is_new = number > seen_number or (number == seen_number and sequence > seen_sequence)
    if sequence == 1 and (number < start or is_new or keep[number]) then
      put_in(number)
      if number > last then
        redis.call('XADD', copy, entry[1], unpack(entry[2]))
        last = number
      end
    end
  end
  if #found > 0 then
    cursor = found[#found][1]
  end
  if #found == count or to ~= '+' then
    return {cursor, #found == count and 0 or 1}
  end
  put_in(math.huge)
  if redis.call('EXISTS', copy) == 0 then
    redis.call('DEL', log)
    return {cursor, 1}
  end
  if redis.call('EXISTS', log) == 1 then
    make_groups(copy, groups_of(log))
  end
  redis.call('RENAME', copy, log)
  return {cursor, 1}
end
