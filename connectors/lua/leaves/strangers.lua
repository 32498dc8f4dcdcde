-- Which of some documents have no hash.
-- ARGV: 1 prefix of the documents' keys, 2 prefix of the buckets' keys, 3 a msgpack array of {bucket, key}
local found = {}
for _, wanted in ipairs(cmsgpack.unpack(ARGV[3])) do
    if redis.call('HEXISTS', ARGV[2] .. wanted[1], wanted[2]) == 0 and redis.call('EXISTS', ARGV[1] .. wanted[2]) == 1 then
        found[#found + 1] = wanted[2]
    end
end
return found
