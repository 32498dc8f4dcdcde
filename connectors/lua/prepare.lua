-- KEYS: 1 versions of the view (set), 2 versions being dropped (set), 3 says that all documents have a hash
-- ARGV: 1 version.
-- Returns 1, or 0 when the version is being dropped: its documents must go first.
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then
    return 0
end
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then
    redis.call('SET', KEYS[3], '1') -- a version of before there were hashes is prepared already
end
return 1
