-- Append one record to a partition's log, or find the one that settled its tick before.
--
-- KEYS: 1 lease, 2 log, 3 tick map, 4 symbol index (written for records with a tick), 5 tick stream,
--       6 attempts, then one per blob that the record needs (its dictionary is one).
-- ARGV: 1 owner ('' where no lease is needed), 2 tick id ('' for a record without a tick), 3 the index at which it
--       must stand ('' for the next one), 4 how many records the owner knows of, 5 record, 6 consumer group,
--       7 number of conflated tick ids, the ids, then the ids of the stream entries that this record settles; the last
--       one of all is the run id of the server process that the owner has compared with ('' where it has not).
-- Answers {index, 1 if it was appended now, 0 if it stood there before}.
--
-- All checks come before the first write: nothing inside a function is ever rolled back.
local function run(keys, args)
  local lease, log, map, by_symbol, stream, attempts = keys[1], keys[2], keys[3], keys[4], keys[5], keys[6]
  local owner, tick, at, conflated_count = args[1], args[2], tonumber(args[3]), tonumber(args[7])
  local run_id = table.remove(args)

  local refused = owner ~= '' and not_held(lease, owner)
  if refused then
    return refused
  end
  for i = 7, #keys do
    if redis.call('EXISTS', keys[i]) == 0 then
      return redis.error_reply('BLOB missing ' .. keys[i])
    end
  end

  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  local last = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or -1
  -- A server that came back may have forgotten the last records; another one in their place would be a fork.
  if run_id ~= '' and string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= run_id then
    return redis.error_reply('BEHIND ' .. last + 1)
  end
  if last + 1 < tonumber(args[4]) then
    return redis.error_reply('BEHIND ' .. last + 1)
  end
  local index = tick ~= '' and redis.call('HGET', map, tick)
  local first_entry = args[8 + conflated_count]
  if at and at <= last then
    index = at -- it is known by its place: the caller sees whether it is the same record
  elseif tick == '' and first_entry then
    -- An incident has no tick to be known by: it stands there already where its work entry is not pending any more.
    local pending = redis.pcall('XPENDING', stream, args[6], first_entry, first_entry, 1)
    if last >= 0 and pending['err'] == nil and #pending == 0 then
      index = tostring(last)
    end
  end
  for i = 8, 7 + conflated_count do
    local settled = redis.call('HGET', map, args[i])
    if (not index and settled) or (index and settled ~= index) then
      return redis.error_reply('SETTLED ' .. args[i])
    end
  end

  local appended = 0
  if not index then
    index = at or last + 1
    redis.call('XADD', log, index .. '-1', 'record', args[5])
    if tick ~= '' then
      redis.call('HSET', map, tick, index)
      if string.sub(by_symbol, -1) ~= ':' then -- an entry that names no symbol is found by its tick alone
        redis.call('RPUSH', by_symbol, index)
      end
    end
    for i = 8, 7 + conflated_count do
      redis.call('HSET', map, args[i], index)
    end
    appended = 1
  end

  if tick ~= '' then
    redis.call('HDEL', attempts, tick)
  end
  for i = 8, 7 + conflated_count do
    redis.call('HDEL', attempts, args[i])
  end
  for i = 8 + conflated_count, #args do
    redis.pcall('XACK', stream, args[6], args[i])
    redis.call('XDEL', stream, args[i])
  end
  return {tonumber(index), appended}
end
