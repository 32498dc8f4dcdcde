-- Documents and their hashes, read in one step.
-- ARGV: 1 prefix of the documents' keys, 2 prefix of the buckets' keys, 3 a msgpack array of {bucket, key}, or of {bucket}
--       for all whose hash is in it
-- Returns a flat array of key, hash (empty: none), the document as a msgpack array of fields and values (empty: no hash is
-- there but something else).
local found = {}

local function add(bucket, key)
    local document = redis.pcall('HGETALL', ARGV[1] .. key)
    found[#found + 1] = key
    found[#found + 1] = redis.call('HGET', ARGV[2] .. bucket, key) or ''
    found[#found + 1] = document.err and '' or cmsgpack.pack(document)
end

for _, wanted in ipairs(cmsgpack.unpack(ARGV[3])) do
    if wanted[2] then
        add(wanted[1], wanted[2])
    else
        for _, key in ipairs(redis.call('HKEYS', ARGV[2] .. wanted[1])) do
            if key ~= '\255' then
                add(wanted[1], key)
            end
        end
    end
end
return found
