-- Append one record to a partition's log, or find the record that already settled its tick or has its id.
--
-- KEYS: 1 lease, 2 log, 3 map of ticks, or of ids for what others say, 4 symbol index (written for records with either),
--       5 the stream that it came from, 6 attempts, 7 base, then one per blob that the record needs (its dictionary is one).
-- ARGV: 1 owner ('' if no lease is needed), 2 tick or id ('' for a record without one), 3 the index that it must have
--       ('' for the next one), 4 how many records the owner knows of, 5 record, 6 its proof ('' for none), 7 consumer
--       group, 8 number of conflated tick ids, those ids, the ids of the stream entries that this record settles, and
--       last the run id of the server process against which the owner compared its spool ('' if it has not).
-- Returns {index, 1 if it was appended now, 0 if it was there before}. What was there before acknowledges nothing: the map
-- may have been written by somebody else, so the caller reads the record at that index first.
--
-- All checks come before the first write, because Redis never rolls a function back.
local MAX_IN_FLIGHT = 2000

local function run(keys, args)
  local lease, log, map, by_symbol, stream, attempts = keys[1], keys[2], keys[3], keys[4], keys[5], keys[6]
  local owner, tick, at, group, conflated_count = args[1], args[2], tonumber(args[3]), args[7], tonumber(args[8])
  local run_id = table.remove(args)

  local refused = owner ~= '' and not_held(lease, owner)
  if refused then
    return refused
  end
  for i = 8, #keys do
    if redis.call('EXISTS', keys[i]) == 0 then
      return redis.error_reply('BLOB missing ' .. keys[i])
    end
  end

  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  -- A log of which everything was archived goes on where it ended, and never again at 0.
  local last = newest[1] and tonumber(string.match(newest[1][1], '^%d+'))
    or (tonumber(redis.call('HGET', keys[7], 'size') or 0) or 0) - 1
  -- A server that restarted may have lost its last records; appending others in their place would be a fork.
  if run_id ~= '' and string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= run_id then
    return redis.error_reply('BEHIND ' .. last + 1)
  end
  if last + 1 < tonumber(args[4]) then
    return redis.error_reply('BEHIND ' .. last + 1)
  end
  -- Nobody but the owner appends; an id that it could not have given would take the log's next places away.
  local is_ours = not newest[1] or string.match(newest[1][1], '%d+$') == '1'
  if run_id ~= '' and not at and (not is_ours or last + 1 > tonumber(args[4]) + MAX_IN_FLIGHT) then
    return redis.error_reply('FOREIGN ' .. newest[1][1])
  end
  local index = tick ~= '' and redis.call('HGET', map, tick)
  local first_entry = args[9 + conflated_count]
  if at and at <= last then
    index = at -- the caller compares the record at this index with its own
  elseif tick == '' and first_entry then
    -- An incident has no tick: if its stream entry is not pending any more, it has been appended before.
    local pending = redis.pcall('XPENDING', stream, group, first_entry, first_entry, 1)
    if last >= 0 and pending['err'] == nil and #pending == 0 then
      index = tostring(last)
    end
  end
  for i = 9, 8 + conflated_count do
    local settled = redis.call('HGET', map, args[i])
    if (not index and settled) or (index and settled ~= index) then
      return redis.error_reply('SETTLED ' .. args[i])
    end
  end

  if index then
    return {tonumber(index), 0}
  end

  index = at or last + 1
  local fields = args[6] == '' and {'record', args[5]} or {'record', args[5], 'proof', args[6]}
  local added = redis.pcall('XADD', log, index .. '-1', unpack(fields))
  if type(added) == 'table' and added['err'] then -- newer entries were deleted, and the stream remembers their ids
    return redis.error_reply('FOREIGN ' .. added['err'])
  end
  if tick ~= '' then
    redis.call('HSET', map, tick, index)
    if string.sub(by_symbol, -1) ~= ':' then -- a record without a symbol is found by its tick only
      drop_unless_list(by_symbol)
      redis.call('RPUSH', by_symbol, index)
    end
  end
  for i = 9, 8 + conflated_count do
    redis.call('HSET', map, args[i], index)
  end

  if tick ~= '' then
    redis.call('HDEL', attempts, tick)
  end
  for i = 9, 8 + conflated_count do
    redis.call('HDEL', attempts, args[i])
  end
  for i = 9 + conflated_count, #args do
    redis.pcall('XACK', stream, group, args[i])
    redis.call('XDEL', stream, args[i])
  end
  return {index, 1}
end
