-- Puts a document, and its hash, in the place of one of a certain revision.
-- KEYS: 1 the document, 2 its bucket, 3 versions of the view (set)
-- ARGV: 1 version, 2 key, 3 revision that it must have ('0': none), 4 name of the revision field, 5 fields and values, a flat
--       msgpack array; none: the document is to go, 6 its hash, 7 a mark for the bucket that it never had
-- Returns {'done'}, {'superseded'} or {'conflict', actual revision}.
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 0 then
    return {'superseded'}
end
local actual = redis.pcall('HGET', KEYS[1], ARGV[4])
if type(actual) ~= 'string' or not string.match(actual, '^%d+$') then
    actual = '0' -- there is none, or what is there is none
end
if actual ~= ARGV[3] then
    return {'conflict', actual}
end
local fields = cmsgpack.unpack(ARGV[5])
redis.call('DEL', KEYS[1])
for at = 1, #fields, 2 do
    redis.call('HSET', KEYS[1], fields[at], fields[at + 1])
end
if #fields > 0 then
    redis.call('HSET', KEYS[1], ARGV[4], string.format('%d', tonumber(ARGV[3]) + 1))
    redis.call('HSET', KEYS[2], ARGV[2], ARGV[6], '\255', ARGV[7])
else
    redis.call('HDEL', KEYS[2], ARGV[2])
    redis.call('HSET', KEYS[2], '\255', ARGV[7])
end
return {'done'}
