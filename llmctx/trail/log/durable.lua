-- Store how many records are in the spool; the number never falls. Whatever else somebody put there is replaced.
-- KEYS: 1 lease, 2 durable. ARGV: 1 owner, 2 size.
local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local before = redis.pcall('GET', keys[2])
  before = type(before) == 'string' and #before <= 16 and string.match(before, '^%d+$')
  if tonumber(before or -1) < tonumber(args[2]) then
    redis.call('SET', keys[2], args[2])
  end
  return tonumber(args[2])
end
