-- Begins a session; beyond the most that a user may have, the one that would end first ends now.
-- KEYS: the session, the user's sessions. ARGV: session id, first refresh token's id, idle time and
-- longest life in ms, most sessions, what else to note of it (name, value, ...).
-- Answers the ids of sessions that had to end.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local surplus = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[5]) + 1
local ended = {}
if surplus > 0 then ended = redis.call('ZRANGE', KEYS[2], 0, surplus - 1) end
for _, session in ipairs(ended) do
  redis.call('DEL', string.sub(KEYS[1], 1, -1 - #ARGV[1]) .. session)
  redis.call('ZREM', KEYS[2], session)
end

local left = math.min(tonumber(ARGV[3]), tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'current', ARGV[2], 'previous', '', 'rotated_at', now,
  'began_at', now, 'ends_at', now + tonumber(ARGV[4]), unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[1], left)
redis.call('ZADD', KEYS[2], now + left, ARGV[1])
if redis.call('PTTL', KEYS[2]) < left then redis.call('PEXPIRE', KEYS[2], left) end
return ended
