-- Counts one request under a quota: `counted` in connectors/guards.py, by the clock of Redis.
-- KEYS: where the time is kept at which the last of the requests would have come evenly. ARGV: interval (microseconds), requests.
-- Gives {allowed, remaining, full in, allowed in}, the latter two in microseconds.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local interval, requests = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local room = now + interval * requests - (due + interval)
if room < 0 then
  return {0, 0, due - now, -room}
end
due = due + interval
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
return {1, math.floor(room / interval), due - now, 0}
