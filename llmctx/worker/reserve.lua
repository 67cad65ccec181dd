-- Reserve the most that a call may use, in every scope or in none.
-- KEYS: the hash. ARGV: call id, tokens, cost in billionths, the limits as text, then for each scope its name and its
-- limits of calls, tokens and cost, empty where there is none.
-- Returns nil, or the first limit that does not suffice, as {scope, unit, used, limit}. A repeat changes nothing.
local function run(keys, args)
  local key, day, call = keys[1], today(), 'call ' .. args[1]
  if redis.call('HGET', key, 'day') ~= day then
    redis.call('DEL', key)
    redis.call('HSET', key, 'day', day)
  end
  if redis.call('HEXISTS', key, call) == 1 then
    return false
  end
  local needed, scopes = {'1', args[2], args[3]}, {}
  for at = 5, #args, 4 do
    local scope = args[at]
    table.insert(scopes, scope)
    for i, unit in ipairs(UNITS) do
      local limit = tonumber(args[at + i])
      local used = tonumber(redis.call('HGET', key, scope .. ' ' .. unit) or '0')
      if limit and used + tonumber(needed[i]) > limit then
        redis.call('HINCRBY', key, 'refused ' .. scope .. ' ' .. unit, 1)
        redis.call('HSET', key, 'limits', args[4])
        return {scope, unit, string.format('%.0f', used), args[at + i]}
      end
    end
  end
  for _, scope in ipairs(scopes) do
    count(key, scope, needed)
  end
  redis.call('HSET', key, 'limits', args[4], call, args[2] .. ' ' .. args[3] .. ' ' .. table.concat(scopes, '\t'))
  return false
end
