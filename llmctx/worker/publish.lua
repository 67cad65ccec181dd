-- Publish one decision; publishing it again changes nothing.
-- KEYS: 1 stream of decisions, 2 the symbol's latest. ARGV: 1 index, 2 decision as JSON, 3 how many are kept.
local function run(keys, args)
  local newest = redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)
  if newest[1] and tonumber(string.match(newest[1][1], '^%d+')) >= tonumber(args[1]) then
    return 0
  end
  redis.call('XADD', keys[1], 'MAXLEN', '~', args[3], args[1] .. '-1', 'decision', args[2])
  redis.call('SET', keys[2], args[2])
  return 1
end
