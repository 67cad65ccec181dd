-- Publish one decision; publishing it again changes nothing.
-- KEYS: 1 stream of decisions, 2 the symbol's latest, 3 lease, 4 durable.
-- ARGV: 1 index, 2 decision as JSON, 3 how many are kept, 4 owner, 5 the last index that was published, -1 for none.
-- The stream's last id tells whether anybody else has written to it; whoever reads it may delete entries.
local function last_id(stream)
  local about = redis.pcall('XINFO', 'STREAM', stream)
  if about['err'] then
    return redis.call('EXISTS', stream) == 0 and '-1-1' or 'no stream'
  end
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then
      return about[i + 1] == '0-0' and '-1-1' or about[i + 1]
    end
  end
end

local function run(keys, args)
  local refused = not_held(keys[3], args[4])
  if refused then
    return refused
  end
  local index, published = tonumber(args[1]), tonumber(args[5])
  local last, own = last_id(keys[1]), args[1] .. '-1'
  if last == own then
    local found = redis.call('XRANGE', keys[1], own, own)[1]
    if found and found[2][2] == args[2] then
      redis.call('SET', keys[2], args[2]) -- a file cut within the transaction may have brought back the entry alone
      return 0
    end
  end
  if tonumber(redis.call('GET', keys[4]) or 0) <= index then
    return redis.error_reply('DURABLE is below ' .. args[1])
  end
  if last ~= args[5] .. '-1' then
    return redis.error_reply('FOREIGN or missing entry: the last is ' .. last)
  end
  if published >= index then
    return 0
  end
  redis.call('XADD', keys[1], 'MAXLEN', '~', args[3], own, 'decision', args[2])
  redis.call('SET', keys[2], args[2])
  return 1
end
