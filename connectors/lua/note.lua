-- Notes facts about a version.
-- KEYS: 1 facts of the version (hash), 2 versions of the view (set)
-- ARGV: 1 version, 2 names and texts to set, as a flat msgpack array, 3 names to remove, as a msgpack array
-- Returns 1, or 0 when there is no such version.
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then
    return 0
end
local put, removed = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
for at = 1, #put, 2 do
    redis.call('HSET', KEYS[1], put[at], put[at + 1])
end
for _, name in ipairs(removed) do
    redis.call('HDEL', KEYS[1], name)
end
return 1
