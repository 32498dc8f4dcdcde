-- Keeps the hashes of buckets in which nothing changed since they were read.
-- ARGV: 1 prefix of the buckets' keys, 2 a msgpack array of {bucket, mark}, 3 the hashes, 32 bytes each
for at, sealed in ipairs(cmsgpack.unpack(ARGV[2])) do
    local key = ARGV[1] .. sealed[1]
    if redis.call('HGET', key, '\255') == sealed[2] then
        redis.call('HSET', key, '\255', '=' .. string.sub(ARGV[3], 32 * at - 31, 32 * at))
    end
end
return 1
