-- The repeated step of dropping a version: deletes some documents, unless somebody else has finished the drop meanwhile
-- (the version may then be in use again).
-- KEYS: 1 versions being dropped (set).  ARGV: 1 version, 2 prefix of the documents' keys, 3 the keys, as a msgpack array
-- Returns 1, or 0 when the version is not being dropped.
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
    return 0
end
for _, key in ipairs(cmsgpack.unpack(ARGV[3])) do
    redis.call('UNLINK', ARGV[2] .. key)
end
return 1
