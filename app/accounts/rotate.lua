-- Takes a refresh token for the next one, at most once.
-- KEYS: the session, the user's sessions. ARGV: session id, presented token's id, next token's id,
-- idle time and grace in ms.
-- Answers rotated; raced (a moment ago it was taken already); reused (long ago: somebody has a copy,
-- the session ends); unknown.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local current, previous, rotated_at, ends_at =
  unpack(redis.call('HMGET', KEYS[1], 'current', 'previous', 'rotated_at', 'ends_at'))
if not current then return 'unknown' end

local function finish(verdict)
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return verdict
end

if current == ARGV[2] then
  local left = math.min(tonumber(ARGV[4]), tonumber(ends_at) - now)
  if left <= 0 then return finish('unknown') end
  redis.call('HSET', KEYS[1], 'current', ARGV[3], 'previous', ARGV[2], 'rotated_at', now)
  redis.call('PEXPIRE', KEYS[1], left)
  redis.call('ZADD', KEYS[2], now + left, ARGV[1])
  if redis.call('PTTL', KEYS[2]) < left then redis.call('PEXPIRE', KEYS[2], left) end
  return 'rotated'
end
if previous == ARGV[2] and now - tonumber(rotated_at) <= tonumber(ARGV[5]) then return 'raced' end
return finish('reused')
