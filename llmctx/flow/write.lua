-- Write everything that one bar (or one headline) says about one symbol, at one instant, the tick last.
--
-- KEYS: 1 the symbol's bars stream, 2 its partition's decisions stream, 3.. the guarded keys, then those that the
--       operations name by their place.
-- ARGV: 1 in MessagePack: {bar id ('' where there is no bar), the id of the last bar that must be there ('' for none),
--       the writer's run, the id of the last decision that the writer has read ('' where it reads none), {what the writer
--       knows each guarded key to hold, '' for nothing}, {operation, ...}}. An operation is its name, the place of its
--       key in KEYS, and then:
--         set   lifetime in seconds (0: none), value      and announce it on the key's channel
--         put   value                                     for ever, and tells nobody
--         del                                             and announce it as an empty text
--         add   most entries (0: all), id, field, value, ...
--         keep  score, member, lowest score that is kept  a sorted set
--         rank  place of the hash, place of the list, symbol, score, ms, change, JSON, oldest ms, most, lifetime
-- Answers {1, decisions} when it is written (now, or by an earlier call of the same run): every decision that stands
-- behind the last one read, {id, JSON, ...}; {0, value, ...} when somebody else has changed a guarded key, with what all
-- of them hold; {2} when another run has written this bar or a later one; {3} when the last bar that must be there is
-- not: the server has lost its last seconds. Nothing is written then.
local CHANNEL = 'updates:'

local function set(key, lifetime, value)
  if lifetime == 0 then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'EX', lifetime)
  end
  redis.call('PUBLISH', CHANNEL .. key, value)
end

-- The ranking is kept in a sorted set; the list is written from it. A symbol without a newer bar drops out.
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
  keep = function(_, key, score, member, lowest)
    redis.call('ZADD', key, score, member)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. string.format('%.0f', lowest))
  end,
  rank = rank,
}

local function start_of(id)
  return tonumber(string.match(id, '^%d+'))
end

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
  local bar, before, writer, seen, known, todo = unpack(cmsgpack.unpack(args[1]))
  if bar ~= '' then
    local last = redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)[1]
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
  for _, operation in ipairs(todo) do
    operations[operation[1]](keys, keys[operation[2]], unpack(operation, 3))
  end
  return {1, decisions(keys[2], seen)}
end
