-- Take, renew or give up the lease of a partition.
-- KEYS[1]: the lease. ARGV: 1 owner, 2 length in ms (0 gives it up), 3 the owner's host and process, 4 the record
-- format that the owner writes, 5 its version of llmctx.
-- Returns {1, ends_ms} if the owner holds it now; {0, ends_ms, owner, worker, format, version} if another one holds it, or
-- if its last holder wrote a newer format.
--
-- The hash stays when the lease ends, because its format must. Versions up to 0.1.0 know only owner, until_ms and label:
-- an until_ms that never comes keeps them from taking a turn after a newer version, and the label tells them why.
local NEVER = '9007199254740991'
-- No owner takes it for longer; an end beyond that is somebody else's, and would keep every worker away for ever.
local LONGEST_MS = 60000

local function run(keys, args)
  local now = redis.call('TIME')
  local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
  local held = redis.call('HMGET', keys[1], 'owner', 'until_ms', 'label', 'ends_ms', 'worker', 'format', 'version')
  local owner, worker = held[1] or '', held[5] or held[3] or ''
  local ends_ms, format = tonumber(held[4] or held[2] or 0) or 0, tonumber(held[6] or 1) or 1
  if ends_ms > now_ms + LONGEST_MS then
    ends_ms = 0
  end
  local mine = owner == args[1]
  if not mine and (ends_ms >= now_ms or format > tonumber(args[4])) then
    return {0, ends_ms, owner, worker, format, held[7] or '0.1.0'}
  end
  if args[2] == '0' then
    if mine then
      redis.call('HSET', keys[1], 'owner', '', 'ends_ms', 0)
    end
    return {1, now_ms}
  end
  ends_ms = now_ms + tonumber(args[2])
  local label = 'llmctx ' .. args[5] .. ' in record format ' .. args[4] .. ', which an older version cannot continue'
  redis.call('HSET', keys[1], 'owner', args[1], 'until_ms', NEVER, 'label', label, 'ends_ms', ends_ms,
    'worker', args[3], 'format', args[4], 'version', args[5])
  return {1, ends_ms}
end
