-- Apply every change of one bar (or one headline) of one symbol at once, the tick last.
--
-- KEYS: 1 the symbol's bars stream, 2 its partition's decisions stream, 3.. the guarded keys, then the keys of the
--       operations, which name them by position.
-- ARGV: 1 in MessagePack: {bar id ('' without a bar), id of the bar that must exist before it ('' for none), the writer's
--       run, id of the last decision that the writer has read ('' if it reads none), id of the bar that is corrected, the
--       bar itself or one before it ('' for none), {expected value of each guarded key, '' for no key}, {operation, ...}}. An operation is its name, the position of its key in KEYS, and then:
--         set   lifetime in seconds (0: none), value      and publish it on the key's channel
--         put   value                                     never expires, not published
--         del                                             and publish an empty text
--         add   maximum entries (0: no cap), id, field, value, ...
--         replace  start in ms, field, value, ...         other fields for a bar that is not the newest
--         keep  score, member, lowest score to keep       a sorted set
--         rank  position of the hash, position of the list, symbol, score, ms, change, JSON, oldest ms, maximum, lifetime
-- Returns {1, decisions} if the changes are written, now or by an earlier call of the same run, with every decision after
-- the last one read, {id, JSON, ...}. Otherwise it writes nothing and returns {0, value, ...} if somebody else changed a
-- guarded key, with the values of all of them; {2} if another run has written this bar or a later one; {3} if the bar
-- before it is missing, because the server has lost its last seconds.
local CHANNEL = 'updates:'

local function start_of(id)
  return tonumber(string.match(id, '^%d+'))
end

local function set(key, lifetime, value)
  if lifetime == 0 then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'EX', lifetime)
  end
  redis.call('PUBLISH', CHANNEL .. key, value)
end

-- The ranking is kept in a sorted set, and the list is written from it. A symbol whose last bar is too old is removed.
local function rank(keys, scores, hash, list, symbol, score, now_ms, change, candidate, oldest_ms, most, lifetime)
  redis.call('ZADD', scores, score, symbol)
  redis.call('HSET', keys[hash], symbol, string.format('%.0f', now_ms) .. ' ' .. change .. ' ' .. candidate)
  local ranked = {}
  for _, other in ipairs(redis.call('ZREVRANGE', scores, 0, 2 * most)) do
    local ms, json = string.match(redis.call('HGET', keys[hash], other) or '', '^(%d+) %S+ (.*)$')
    if not ms or tonumber(ms) < oldest_ms then
      redis.call('ZREM', scores, other)
    elseif tonumber(ms) <= now_ms and #ranked < most then
      ranked[#ranked + 1] = json
    end
  end
  set(keys[list], lifetime, '[' .. table.concat(ranked, ',') .. ']')
end

local operations = {
  set = function(_, key, lifetime, value)
    set(key, lifetime, value)
  end,
  put = function(_, key, value)
    redis.call('SET', key, value)
  end,
  del = function(_, key)
    if redis.call('DEL', key) == 1 then
      redis.call('PUBLISH', CHANNEL .. key, '')
    end
  end,
  add = function(_, key, most, ...)
    if most == 0 then
      redis.call('XADD', key, ...)
    else
      redis.call('XADD', key, 'MAXLEN', '~', most, ...)
    end
  end,
  -- No entry of a stream can be changed, and none be put before the last: all are written anew, under their ids.
  replace = function(_, key, start, ...)
    local entries = redis.call('XRANGE', key, '-', '+')
    redis.call('DEL', key)
    for _, entry in ipairs(entries) do
      local fields = start_of(entry[1]) == start and {...} or entry[2]
      redis.call('XADD', key, entry[1], unpack(fields))
    end
  end,
  keep = function(_, key, score, member, lowest)
    redis.call('ZADD', key, score, member)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. string.format('%.0f', lowest))
  end,
  rank = rank,
}

local function written_by(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'run' then
      return entry[2][i + 1]
    end
  end
end

local function decisions(stream, seen)
  return seen == '' and {} or redis.call('XRANGE', stream, '(' .. seen, '+', 'COUNT', 1000)
end

local function run(keys, args)
  local bar, before, writer, seen, corrects, known, todo = unpack(cmsgpack.unpack(args[1]))
  local last = bar ~= '' and redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)[1]
  if corrects ~= '' then
    if not last or start_of(last[1]) ~= start_of(bar) then
      return {2}
    end
  elseif bar ~= '' then
    if before ~= '' and (not last or start_of(last[1]) < start_of(before)) then
      return {3}
    end
    if last and start_of(last[1]) >= start_of(bar) then
      if last[1] == bar and written_by(last) == writer then
        return {1, decisions(keys[2], seen)}
      end
      return {2}
    end
  end
  local found, same = {0}, true
  for i, value in ipairs(known) do
    local held = redis.pcall('GET', keys[2 + i])
    if type(held) == 'table' then
      held = 'not a string'
    end
    found[i + 1] = held or ''
    same = same and found[i + 1] == value
  end
  if not same then
    return found
  end
  if corrects ~= '' and start_of(corrects) == start_of(bar) then
    redis.call('XDEL', keys[1], last[1])
  end
  for _, operation in ipairs(todo) do
    operations[operation[1]](keys, keys[operation[2]], unpack(operation, 3))
  end
  return {1, decisions(keys[2], seen)}
end
