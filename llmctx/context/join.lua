-- Read every section of one symbol at one instant.
-- KEYS: one per section, then the keys that halt. ARGV[1]: the size in bytes above which a value is not transferred.
-- ARGV[2], if it is given: the last key is the stream of bars, and its newest one comes last, as {id, close} or nil.
-- Returns {seconds, microseconds, section, ...}; a section is its text, nil if the key does not exist, or {why} if it
-- cannot be read. MGET would return nil for a key of another type, as if it were missing.
local function newest_bar(key)
  local entry = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not entry then
    return false
  end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'close' then
      return {entry[1], entry[2][i + 1]}
    end
  end
  return false
end

local function run(keys, args)
  local cap = tonumber(args[1])
  local now = redis.call('TIME')
  local answer = {now[1], now[2]}
  local bars = args[2] and table.remove(keys)
  for i, key in ipairs(keys) do
    local value = redis.pcall('GET', key)
    if type(value) == 'table' then
      value = {'is a ' .. redis.call('TYPE', key)['ok'] .. ', not a string'}
    elseif value and #value > cap then
      value = {'has ' .. #value .. ' bytes, more than the cap of ' .. cap}
    end
    answer[i + 2] = value
  end
  if bars then
    answer[#keys + 3] = newest_bar(bars)
  end
  return answer
end
