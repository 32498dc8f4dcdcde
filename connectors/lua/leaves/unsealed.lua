-- The buckets whose hash is not known.
-- ARGV: 1 prefix of the buckets' keys, 2 first bucket, 3 last bucket
-- Returns a flat array of bucket, what HGETALL says of it.
local found = {}
for bucket = tonumber(ARGV[2]), tonumber(ARGV[3]) do
    local hash = redis.call('HGET', ARGV[1] .. bucket, '\255')
    if hash and string.sub(hash, 1, 1) ~= '=' then
        found[#found + 1] = bucket
        found[#found + 1] = redis.call('HGETALL', ARGV[1] .. bucket)
    end
end
return found
