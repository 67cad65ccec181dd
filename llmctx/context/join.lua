-- Read every section of one symbol at one instant.
-- KEYS: one per section, then the keys that halt. ARGV[1]: the size in bytes above which a value is not read. ARGV[2]: the
-- same for all of them together; those that fit are read. ARGV[3], if it is given and not empty: the last key is the stream of bars, and its newest one comes last, as {id, close}
-- or nil. ARGV[4], if it is given: how each section is read, one letter each: s a string, h a whole hash, f one field of a
-- hash, whose names are ARGV[5] and on. A whole hash comes as {'', name, value, ...}.
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

-- What is said of a key whose value is too large; nil if it is not, has another type, or its size may not be asked.
-- The size is asked first: reading a value of 60 MB to refuse it stops the server for 50 ms each time.
local function too_large(size, cap)
  return type(size) == 'number' and size > cap and {'has ' .. size .. ' bytes, more than the cap of ' .. cap} or nil
end

local function whole_hash(key, cap)
  local fields = redis.pcall('HLEN', key)
  if type(fields) == 'table' then
    return {'is a ' .. redis.call('TYPE', key)['ok'] .. ', not a hash'}
  elseif fields == 0 then
    return false
  elseif fields > MAX_FIELDS then
    return {'has ' .. fields .. ' fields, more than ' .. MAX_FIELDS}
  end
  local memory = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  if type(memory) == 'number' and memory > 2 * cap + 200 * fields then -- more than fields of this size can take
    return {'takes ' .. memory .. ' bytes of memory, more than the cap of ' .. cap}
  end
  local found, size = redis.call('HGETALL', key), 0
  for i = 1, #found do
    size = size + #found[i]
  end
  if size > cap then
    return too_large(size, cap)
  end
  table.insert(found, 1, '')
  return found, size
end

local function run(keys, args)
  local cap = tonumber(args[1])
  local now = redis.call('TIME')
  local answer = {now[1], now[2]}
  local bars = args[3] and args[3] ~= '' and table.remove(keys)
  local kinds, next_field, left = args[4], 5, tonumber(args[2])
  for i, key in ipairs(keys) do
    local kind, value, size = kinds and kinds:sub(i, i) or 's', nil, nil
    if kind == 'h' then
      value, size = whole_hash(key, cap)
    elseif kind == 'f' then
      value = too_large(redis.pcall('HSTRLEN', key, args[next_field]), cap) or redis.pcall('HGET', key, args[next_field])
      next_field = next_field + 1
    else
      value = too_large(redis.pcall('STRLEN', key), cap) or redis.pcall('GET', key)
    end
    if type(value) == 'table' and value['err'] then
      value = {'is a ' .. redis.call('TYPE', key)['ok'] .. ', not a ' .. ((kind == 'h' or kind == 'f') and 'hash' or 'string')}
    elseif type(value) == 'string' then
      value, size = too_large(#value, cap) or value, #value
    end
    if size and size > left then
      value = {'has ' .. size .. ' bytes, and with those read before it more than the cap of ' .. args[2]}
    else
      left = left - (size or 0)
    end
    answer[i + 2] = value
  end
  if bars then
    answer[#keys + 3] = newest_bar(bars)
  end
  return answer
end
