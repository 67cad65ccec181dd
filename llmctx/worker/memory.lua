-- Look at some keys of the server: how many of them may expire, and how many bytes those take.
-- ARGV: 1 cursor, 2 about how many keys. Answers {next cursor, how many may expire, their bytes}.
local function run(keys, args)
  local page = redis.call('SCAN', args[1], 'COUNT', args[2])
  local count, bytes = 0, 0
  for _, key in ipairs(page[2]) do
    if redis.call('PTTL', key) >= 0 then
      count = count + 1
      bytes = bytes + (redis.call('MEMORY', 'USAGE', key) or 0)
    end
  end
  return {page[1], count, bytes}
end
