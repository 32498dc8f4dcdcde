-- The first step of dropping a version: from here on nobody can write to it, and it is known to be half gone until its
-- documents are deleted (in small steps, so that Redis is not blocked).
-- KEYS: 1 versions of the view (set), 2 its live pointer, 3 positions of the version, 4 versions being dropped (set),
--       5 facts of the version, 6 says that all its documents have a hash
-- ARGV: 1 version.  Returns 1, or 0 when the version is live.
if (redis.call('GET', KEYS[2]) or '1') == ARGV[1] then
    return 0
end
if redis.call('SREM', KEYS[1], ARGV[1]) == 1 then
    redis.call('SADD', KEYS[4], ARGV[1])
end
redis.call('DEL', KEYS[3], KEYS[5], KEYS[6])
return 1
