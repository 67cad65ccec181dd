-- What reserving and settling share. The counters of a day stand in one hash: `SCOPE calls`, `SCOPE tokens` and
-- `SCOPE cost` (in billionths), `refused SCOPE UNIT`, `call ID` for each call that is not settled, `day` and `limits`.
local UNITS = {'calls', 'tokens', 'cost'}

local function today()
  return tostring(math.floor(tonumber(redis.call('TIME')[1]) / 86400))
end

local function count(key, scope, amounts)
  for i, unit in ipairs(UNITS) do
    redis.call('HINCRBY', key, scope .. ' ' .. unit, amounts[i])
  end
end
