-- Publish one decision; publishing it again changes nothing.
-- KEYS: 1 stream of decisions, 2 the symbol's latest, 3 lease, 4 durable.
-- ARGV: 1 index, 2 decision as JSON, 3 how many are kept, 4 owner, 5 the last index that was published.
local function run(keys, args)
  local refused = not_held(keys[3], args[4])
  if refused then
    return refused
  end
  if tonumber(redis.call('GET', keys[4]) or 0) <= tonumber(args[1]) then
    return redis.error_reply('DURABLE is below ' .. args[1])
  end
  local newest = redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)
  local last = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or -1
  if last < tonumber(args[5]) then
    return redis.error_reply('BEHIND the last decision is ' .. last) -- the server has forgotten some: those go first
  end
  if last >= tonumber(args[1]) then
    return 0
  end
  redis.call('XADD', keys[1], 'MAXLEN', '~', args[3], args[1] .. '-1', 'decision', args[2])
  redis.call('SET', keys[2], args[2])
  return 1
end
