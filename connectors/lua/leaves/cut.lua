-- All hashes of a version and its positions, at one moment.
-- KEYS: 1 positions of the version (hash).  ARGV: 1 prefix of the buckets' keys, 2 last bucket
-- Returns {positions, sealed, unsealed}: what HGETALL says; a flat array of bucket, '=' and its hash; one of bucket, what
-- HGETALL says of it.
local sealed, unsealed = {}, {}
for bucket = 0, tonumber(ARGV[2]) do
    local hash = redis.call('HGET', ARGV[1] .. bucket, '\255')
    if hash and string.sub(hash, 1, 1) == '=' then
        sealed[#sealed + 1] = bucket
        sealed[#sealed + 1] = hash
    elseif hash then
        unsealed[#unsealed + 1] = bucket
        unsealed[#unsealed + 1] = redis.call('HGETALL', ARGV[1] .. bucket)
    end
end
return {redis.call('HGETALL', KEYS[1]), sealed, unsealed}
