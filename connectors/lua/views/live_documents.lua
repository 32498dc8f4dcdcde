-- Documents of the live versions of views.
-- ARGV: a msgpack array of {view, key}
-- Returns for each the flat array of its document's fields and values, empty where there is none.
local found = {}
local live = {}
for i, wanted in ipairs(cmsgpack.unpack(ARGV[1])) do
    local view = wanted[1]
    live[view] = live[view] or redis.call('GET', view .. ':live') or '1'
    found[i] = redis.call('HGETALL', view .. ':v' .. live[view] .. ':doc:' .. wanted[2])
end
return found
