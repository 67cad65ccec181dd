-- Read every section of one symbol at one instant.
-- KEYS: one per section. ARGV[1]: the size in bytes from which on a value is not transferred.
-- Answers {seconds, microseconds, section, ...}; a section is its text, nil where there is no key, or {why} where
-- it cannot be read. MGET would answer nil for a key of another type, as if it were missing.
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
