-- KEYS: 1 versions of the view (set), 2 its live pointer.  ARGV: 1 version.  Returns 1, or 0 when there is no such version.
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call('SET', KEYS[2], ARGV[1])
return 1
