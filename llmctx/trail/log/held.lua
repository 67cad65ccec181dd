-- Every function that only the lease's holder may call begins with this: an error reply, or nil if the owner holds it.
local function not_held(lease, owner)
  local now = redis.call('TIME')
  local held = redis.call('HMGET', lease, 'owner', 'ends_ms')
  if held[1] ~= owner then
    local holder = held[1] or ''
    return redis.error_reply('LEASE held by ' .. (holder ~= '' and holder or 'nobody'))
  end
  if tonumber(held[2] or 0) < now[1] * 1000 + math.floor(now[2] / 1000) then
    return redis.error_reply('LEASE ended')
  end
end

-- A value of another type at the key of a symbol's list is somebody else's: nothing could be appended to it.
local function drop_unless_list(key)
  local kind = redis.call('TYPE', key)['ok']
  if kind ~= 'list' and kind ~= 'none' then
    redis.call('DEL', key)
  end
end
