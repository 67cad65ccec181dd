-- Make a stream again with ids that lie in the past; after the last possible id nobody could add an entry.
-- KEYS: 1 lease, 2 stream, 3 the key under which it is made. ARGV: 1 owner, 2 consumer group.
-- Returns how many entries got another id. All are delivered again: a tick is settled once, and an effect recorded once,
-- whatever its entry's id. Of an entry with more fields than anybody of ours writes, the first ones stay: Lua cannot pass
-- any number of them.
local MAX_FIELDS = 200

local function run(keys, args)
  local refused = not_held(keys[1], args[1])
  if refused then
    return refused
  end
  local now = redis.call('TIME')
  local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
  local stream, made, renumbered = keys[2], keys[3], 0
  redis.call('DEL', made)
  redis.call('XGROUP', 'CREATE', made, args[2], '0', 'MKSTREAM')
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+')) do
    local is_past = tonumber(string.match(entry[1], '^%d+')) <= now_ms
    local fields = entry[2]
    redis.call('XADD', made, is_past and entry[1] or '*', unpack(fields, 1, math.min(#fields, 2 * MAX_FIELDS)))
    renumbered = renumbered + (is_past and 0 or 1)
  end
  redis.call('RENAME', made, stream)
  return renumbered
end
