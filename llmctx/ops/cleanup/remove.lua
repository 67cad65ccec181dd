-- Remove a live key if it still holds what was read, and announce it as its writer would.
-- KEYS: 1 the key, 2 a key that must not exist (the position to which it belongs), if there is one.
-- ARGV: 1 the value that was read. Returns how many bytes the key took; 0 if it stays.
local CHANNEL = 'updates:'

local function run(keys, args)
  if keys[2] and redis.call('EXISTS', keys[2]) == 1 or redis.call('GET', keys[1]) ~= args[1] then
    return 0
  end
  local bytes = redis.call('MEMORY', 'USAGE', keys[1])
  redis.call('UNLINK', keys[1])
  redis.call('PUBLISH', CHANNEL .. keys[1], '')
  return bytes
end
