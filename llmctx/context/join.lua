-- Read every section of one symbol at one instant.
-- KEYS: one per section. ARGV[1]: the size in bytes above which a value is not transferred.
-- Returns {seconds, microseconds, section, ...}; a section is its text, nil if the key does not exist, or {why} if it
-- cannot be read. MGET would return nil for a key of another type, as if it were missing.
local function run(keys, args)
  local cap = tonumber(args[1])
  local now = redis.call('TIME')
  local answer = {now[1], now[2]}
  for i, key in ipairs(keys) do
    local value = redis.pcall('GET', key)
    if type(value) == 'table' then
      value = {'is a ' .. redis.call('TYPE', key)['ok'] .. ', not a string'}
    elseif value and #value > cap then
      value = {'has ' .. #value .. ' bytes, more than the cap of ' .. cap}
    end
    answer[i + 2] = value
  end
  return answer
end
