-- Writes documents and moves a position, or does nothing: everything is checked before the first write.
-- KEYS: 1 positions of the version (hash), 2 versions of the view (set)
-- ARGV: 1 version, 2 source as TOPIC/PARTITION, 3 expected position, 4 following position, 5 prefix of the documents'
--       keys, 6 name of the revision field, 7 changes: msgpack array of {key, revision, fields and values to set,
--       fields to delete, and where its hash is known the document's bucket}, 8 prefix of the buckets' keys,
--       9 these hashes, 32 bytes each (cmsgpack takes text only)
-- Returns {'done'}, {'superseded'}, {'moved', actual position} or {'conflict', key, actual revision}.
local ARGUMENTS = 4000 -- Lua's unpack gives up at about 8000 values; even, so that a field stays with its value

local function in_pieces(command, key, values)
    for first = 1, #values, ARGUMENTS do
        redis.call(command, key, unpack(values, first, math.min(first + ARGUMENTS - 1, #values)))
    end
end

if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then
    return {'superseded'}
end
local actual = redis.call('HGET', KEYS[1], ARGV[2]) or '0'
if actual ~= ARGV[3] then
    return {'moved', actual}
end
-- The field \255 of a bucket (no text, so no document's key) holds its hash, or what changed it last while that is unknown.
local mark = ARGV[2] .. '@' .. ARGV[4]
local changes = cmsgpack.unpack(ARGV[7])
for _, change in ipairs(changes) do
    local revision = redis.call('HGET', ARGV[5] .. change[1], ARGV[6]) or '0'
    if tonumber(revision) ~= change[2] then
        return {'conflict', change[1], revision}
    end
end
local hashes = 0
for _, change in ipairs(changes) do
    local key, put, remove = ARGV[5] .. change[1], change[3], change[4]
    put[#put + 1] = ARGV[6]
    put[#put + 1] = string.format('%d', change[2] + 1)
    in_pieces('HSET', key, put)
    in_pieces('HDEL', key, remove)
    if change[5] then
        local hash = string.sub(ARGV[9], hashes + 1, hashes + 32)
        redis.call('HSET', ARGV[8] .. change[5], change[1], hash, '\255', mark)
        hashes = hashes + 32
    end
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
return {'done'}
