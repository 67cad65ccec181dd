-- Take, renew or give up the lease of a partition.
-- KEYS[1]: the lease. ARGV: 1 owner, 2 length in ms (0 gives it up), 3 what to tell others of the owner.
-- Answers {1, until_ms} where it is held now, {0, until_ms, owner, label} where another one holds it.
local function run(keys, args)
  local now = redis.call('TIME')
  local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
  local held = redis.call('HMGET', keys[1], 'owner', 'until_ms', 'label')
  if held[1] and held[1] ~= args[1] and tonumber(held[2]) >= now_ms then
    return {0, tonumber(held[2]), held[1], held[3] or ''}
  end
  if args[2] == '0' then
    if held[1] == args[1] then
      redis.call('DEL', keys[1])
    end
    return {1, now_ms}
  end
  local until_ms = now_ms + tonumber(args[2])
  redis.call('HSET', keys[1], 'owner', args[1], 'until_ms', until_ms, 'label', args[3])
  return {1, until_ms}
end
