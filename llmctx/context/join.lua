-- Read every section of one symbol at one instant.
-- KEYS: one per section, then the keys that halt. ARGV[1]: the size in bytes above which a value is not transferred.
-- ARGV[2], if it is given and not empty: the last key is the stream of bars, and its newest one comes last, as {id, close}
-- or nil. ARGV[3], if it is given: how each section is read, one letter each: s a string, h a whole hash, f one field of a
-- hash, whose names are ARGV[4] and on. A whole hash comes as {'', name, value, ...}.
-- Returns {seconds, microseconds, section, ...}; a section is its text, nil if the key does not exist, or {why} if it
-- cannot be read. MGET would return nil for a key of another type, as if it were missing.
local MAX_CLOSE = 60 -- no price has more characters, and what is longer is not transferred

local function newest_bar(key)
  local entry = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not entry then
    return false
  end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'close' then
      return #entry[2][i + 1] <= MAX_CLOSE and {entry[1], entry[2][i + 1]}
    end
  end
  return false
end

local MAX_FIELDS = 2000

local function whole_hash(key, cap)
  local fields = redis.pcall('HLEN', key)
  if type(fields) == 'table' then
    return {'is a ' .. redis.call('TYPE', key)['ok'] .. ', not a hash'}
  elseif fields == 0 then
    return false
  elseif fields > MAX_FIELDS then
    return {'has ' .. fields .. ' fields, more than ' .. MAX_FIELDS}
  end
  local found, size = redis.call('HGETALL', key), 0
  for i = 1, #found do
    size = size + #found[i]
  end
  if size > cap then
    return {'has ' .. size .. ' bytes, more than the cap of ' .. cap}
  end
  table.insert(found, 1, '')
  return found
end

local function run(keys, args)
  local cap = tonumber(args[1])
  local now = redis.call('TIME')
  local answer = {now[1], now[2]}
  local bars = args[2] and args[2] ~= '' and table.remove(keys)
  local kinds, next_field = args[3], 4
  for i, key in ipairs(keys) do
    local kind, value = kinds and kinds:sub(i, i) or 's', nil
    if kind == 'h' then
      value = whole_hash(key, cap)
    elseif kind == 'f' then
      value = redis.pcall('HGET', key, args[next_field])
      next_field = next_field + 1
    else
      value = redis.pcall('GET', key)
    end
    if type(value) == 'table' and value['err'] then
      value = {'is a ' .. redis.call('TYPE', key)['ok'] .. ', not a ' .. ((kind == 'h' or kind == 'f') and 'hash' or 'string')}
    elseif type(value) == 'string' and #value > cap then
      value = {'has ' .. #value .. ' bytes, more than the cap of ' .. cap}
    end
    answer[i + 2] = value
  end
  if bars then
    answer[#keys + 3] = newest_bar(bars)
  end
  return answer
end
