-- Count what a call used instead of what was reserved for it.
-- KEYS: the hash. ARGV: call id, tokens, cost in billionths.
-- Returns 1; 0 if it is settled already, or was reserved on an earlier day.
local function run(keys, args)
  local key, call = keys[1], 'call ' .. args[1]
  local reserved = redis.call('HGET', key, call)
  if not reserved or redis.call('HGET', key, 'day') ~= today() then
    return 0
  end
  local tokens, cost, scopes = string.match(reserved, '^(%d+) (%d+) (.*)$')
  local change = {'0', string.format('%.0f', args[2] - tokens), string.format('%.0f', args[3] - cost)}
  for scope in string.gmatch(scopes, '[^\t]+') do
    count(key, scope, change)
  end
  redis.call('HDEL', key, call)
  return 1
end
