-- Reserve room for an add in the limits that several positions share; again for the same tick, it replaces the first.
-- KEYS: 1 reservations by tick, then the keys that halt.
-- ARGV: 1 tick, 2 symbol, 3 the value of the add, below 0 for a short position, 4 seconds until it expires, 5 what the
-- keys of positions begin with, 6 the positions of another system as JSON by symbol ('' without: they are read from
-- their keys), then for each limit: kind, value, how many patterns, the patterns.
-- Answers {'ok'}; {'halted', key}; {'unknown', key} for a position that cannot be read: unknown is not flat; or
-- {'refused', number of the limit, what the total would be}.
local MAX_POSITION = 262144 -- bytes: MAX_VALUE_BYTES of llmctx/limits.py; a larger one is not read

local function positions(prefix)
  local values, quantities, cursor = {}, {}, '0'
  repeat
    local page = redis.call('SCAN', cursor, 'MATCH', prefix .. '*', 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
      local size = redis.pcall('STRLEN', key)
      if type(size) == 'number' and size > MAX_POSITION then
        return nil, key
      end
      local raw = redis.pcall('GET', key)
      if raw then -- it may have gone between the two
        local readable, found = pcall(cjson.decode, type(raw) == 'string' and raw or '')
        local quantity = readable and type(found) == 'table' and tonumber(found['quantity'])
        local price = quantity and tonumber(found['current_price'])
        if not price then
          return nil, key
        end
        local symbol = string.sub(key, #prefix + 1)
        quantities[symbol] = string.format('%.17g', quantity)
        values[symbol] = quantity * price * (found['side'] == 'short' and -1 or 1)
      end
    end
  until cursor == '0'
  return values, quantities
end

-- Positions that a mapping placed; {key} alone is one that cannot be read.
local function mapped(json)
  local values, quantities = {}, {}
  for symbol, found in pairs(cjson.decode(json)) do
    if found['key'] then
      return nil, found['key']
    end
    quantities[symbol] = string.format('%.17g', tonumber(found['quantity']))
    values[symbol] = found['quantity'] * found['current_price'] * (found['side'] == 'short' and -1 or 1)
  end
  return values, quantities
end

local function add(values, symbol, value)
  values[symbol] = (values[symbol] or 0) + value
end

-- What a value says if it is a reservation.
local function reservation(json)
  local readable, one = pcall(cjson.decode, json)
  if readable and type(one) == 'table' and type(one['symbol']) == 'string' and tonumber(one['value'])
    and tonumber(one['ends']) then
    return {symbol = one['symbol'], value = tonumber(one['value']), quantity = one['quantity'], ends = tonumber(one['ends'])}
  end
  return nil
end

local function total(values, kind, patterns)
  local gross, net = 0, 0
  for symbol, value in pairs(values) do
    for _, pattern in ipairs(patterns) do
      if string.find(symbol, pattern) then
        gross, net = gross + math.abs(value), net + value
        break
      end
    end
  end
  return kind == 'net' and math.abs(net) or gross
end

local function run(keys, args)
  for i = 2, #keys do
    if redis.call('EXISTS', keys[i]) == 1 then
      return {'halted', keys[i]}
    end
  end
  local now, tick, symbol = tonumber(redis.call('TIME')[1]), args[1], args[2]
  local values, quantities
  if args[6] == '' then
    values, quantities = positions(args[5])
  else
    values, quantities = mapped(args[6])
  end
  if not values then
    return {'unknown', quantities}
  end
  local reserved = redis.call('HGETALL', keys[1])
  for i = 1, #reserved, 2 do
    local one = reservation(reserved[i + 1])
    if not one or one['ends'] <= now or one['quantity'] ~= (quantities[one['symbol']] or '') then
      redis.call('HDEL', keys[1], reserved[i]) -- it is none, has expired, or the position shows its effect
    elseif reserved[i] ~= tick then
      add(values, one['symbol'], one['value'])
    end
  end
  add(values, symbol, tonumber(args[3]))
  local at, number = 7, 1
  while at <= #args do
    local patterns = {unpack(args, at + 3, at + 2 + tonumber(args[at + 2]))}
    local found = total(values, args[at], patterns)
    if found > tonumber(args[at + 1]) then
      redis.call('HDEL', keys[1], tick)
      return {'refused', number, string.format('%.2f', found)}
    end
    at, number = at + 3 + #patterns, number + 1
  end
  local kept = {symbol = symbol, value = tonumber(args[3]), quantity = quantities[symbol] or '', ends = now + tonumber(args[4])}
  redis.call('HSET', keys[1], tick, cjson.encode(kept))
  return {'ok'}
end
