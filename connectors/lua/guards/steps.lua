-- Counts requests under quotas, and spends nonces.
-- ARGV: a msgpack array of steps, each {key, interval (microseconds), requests} of a quota, or {key, seconds} of a nonce.
-- Returns for each: of a quota {allowed, remaining, full in, allowed in}, the latter two in microseconds; of a nonce whether
-- it was not spent before (0, 1). Counting is `counted` in connectors/guards.py, by the clock of Redis.
local function take(key, interval, requests)
    local clock = redis.call('TIME')
    local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
    local due = math.max(tonumber(redis.call('GET', key) or 0), now)
    local room = now + interval * requests - (due + interval)
    if room < 0 then
        return {0, 0, due - now, -room}
    end
    due = due + interval
    redis.call('SET', key, string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
    return {1, math.floor(room / interval), due - now, 0}
end

local answers = {}
for i, step in ipairs(cmsgpack.unpack(ARGV[1])) do
    if step[3] then
        answers[i] = take(step[1], step[2], step[3])
    else
        answers[i] = redis.call('SET', step[1], '', 'NX', 'EX', step[2]) and 1 or 0
    end
end
return answers
