-- Reserve one request and its tokens in the first second at which the limits of a minute allow them.
-- KEYS[1] the hash of reservations: second -> "requests tokens".
-- ARGV: 1 requests a minute (0 for no limit), 2 tokens a minute (0 for no limit), 3 tokens, 4 longest wait in ms, then
-- corrections of earlier reservations: second, tokens to add.
-- Answers {wait in ms, second}; where the wait is longer than allowed nothing is reserved, and second is 0.
local WINDOW = 60
local MAX_AHEAD = 3600 -- no request waits so long for its turn

local function run(keys, args)
  local time = redis.call('TIME')
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  local now = tonumber(time[1])
  local max_requests, max_tokens = tonumber(args[1]), tonumber(args[2])
  local tokens, max_wait = tonumber(args[3]), tonumber(args[4])
  local requests_in, tokens_in, newest = {}, {}, now
  local found = redis.call('HGETALL', keys[1])
  for i = 1, #found, 2 do
    local second = tonumber(found[i])
    local requests, spent = string.match(found[i + 1], '^(%d+) (%d+)$')
    if not second or not requests or second < now - WINDOW or second > now + MAX_AHEAD then
      redis.call('HDEL', keys[1], found[i]) -- it is over, or nobody here wrote it
    else
      requests_in[second], tokens_in[second] = tonumber(requests), tonumber(spent)
      newest = math.max(newest, second)
    end
  end
  local function keep(second)
    redis.call('HSET', keys[1], second, string.format('%d %d', requests_in[second], tokens_in[second]))
  end
  for i = 5, #args, 2 do
    local second = tonumber(args[i])
    if tokens_in[second] then
      tokens_in[second] = math.max(0, tokens_in[second] + tonumber(args[i + 1]))
      keep(second)
    end
  end
  -- Reservations stand in order, so only a second from the newest one on is free; a window has 61 whole seconds, which
  -- hold every minute that begins within one. A call of more tokens than the limit goes when nothing else counts.
  local need = max_tokens > 0 and math.min(tokens, max_tokens) or 0
  local at, requests, spent = newest, 0, 0
  for second = at - WINDOW, at do
    requests = requests + (requests_in[second] or 0)
    spent = spent + (tokens_in[second] or 0)
  end
  while (max_requests > 0 and requests + 1 > max_requests) or (max_tokens > 0 and spent + need > max_tokens) do
    requests = requests - (requests_in[at - WINDOW] or 0)
    spent = spent - (tokens_in[at - WINDOW] or 0)
    at = at + 1
  end
  local wait_ms = math.max(0, at * 1000 - now_ms)
  if wait_ms > max_wait then
    return {wait_ms, 0}
  end
  requests_in[at] = (requests_in[at] or 0) + 1
  tokens_in[at] = (tokens_in[at] or 0) + tokens
  keep(at)
  redis.call('EXPIRE', keys[1], at - now + 2 * WINDOW)
  return {wait_ms, at}
end
