-- Write everything that one bar says about one symbol, at one instant, the tick last.
--
-- KEYS: 1 position, 2 bars stream, 3 tick stream, then the live keys.
-- ARGV: 1 the position as the writer knows it ('' for none), 2 the position to write ('' deletes it),
--       3 bar id, 4 how many bars are kept, 5 the bar's ratio of adjustment ('' for none),
--       6..10 open high low close volume, 11 tick id ('' raises none), 12 symbol, 13 cause,
--       14 the writer's run, then for each live key its lifetime in seconds and its value.
-- Answers {1} when it is written (now, or by an earlier call of the same run), {0, position} when somebody else has
-- changed the position, {2} when another run has written this bar or a later one: nothing is written then.
local function run(keys, args)
  local last = redis.call('XREVRANGE', keys[2], '+', '-', 'COUNT', 1)
  if last[1] and tonumber(string.match(last[1][1], '^%d+')) >= tonumber(string.match(args[3], '^%d+')) then
    local fields, run_before = last[1][2], nil
    for i = 1, #fields, 2 do
      if fields[i] == 'run' then
        run_before = fields[i + 1]
      end
    end
    return {last[1][1] == args[3] and run_before == args[14] and 1 or 2}
  end
  local position = redis.pcall('GET', keys[1])
  if type(position) == 'table' then
    position = 'not a string'
  end
  position = position or ''
  if position ~= args[1] then
    return {0, position}
  end

  if args[2] ~= args[1] then
    if args[2] == '' then
      redis.call('DEL', keys[1])
    else
      redis.call('SET', keys[1], args[2])
    end
  end
  local bar = {'run', args[14], 'open', args[6], 'high', args[7], 'low', args[8], 'close', args[9], 'volume', args[10]}
  if args[5] ~= '' then
    bar[13], bar[14] = 'adjust', args[5]
  end
  redis.call('XADD', keys[2], 'MAXLEN', '~', args[4], args[3], unpack(bar))
  for i = 4, #keys do
    redis.call('SET', keys[i], args[2 * i + 8], 'EX', args[2 * i + 7])
  end
  if args[11] ~= '' then
    redis.call('XADD', keys[3], '*', 'id', args[11], 'symbol', args[12], 'cause', args[13])
  end
  return {1}
end
