-- Documents of the live versions of views, and how far these are.
-- ARGV: a msgpack array of {view, key}, or {view} for its positions
-- Returns for each the flat array of the fields and values, empty where there is none.
local found = {}
local live = {}
for i, wanted in ipairs(cmsgpack.unpack(ARGV[1])) do
    local view = wanted[1]
    live[view] = live[view] or redis.call('GET', view .. ':live') or '1'
    found[i] = redis.call('HGETALL', view .. ':v' .. live[view] .. (wanted[2] and ':doc:' .. wanted[2] or ':positions'))
end
return found
