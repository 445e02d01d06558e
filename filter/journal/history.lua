-- history.lua - add verdicts to the history that all filters share
--
-- KEYS[1]	a stream of all verdicts, the newest at the end
-- KEYS[2]	a sorted set: accounts by the time of their last verdict
-- ARGV[1]	how many verdicts the stream keeps, about
-- ARGV[2]	for how many seconds
-- ARGV[3]	how many of its last verdicts each account keeps in a list of its own
-- ARGV[4]	how many accounts have such a list at most
-- ARGV[5]	what stands before an account in the key of its list; same hash tag
-- then for each verdict: account (percent-encoded, "" for none), text

if redis.replicate_commands then
	redis.replicate_commands()
end

local stream, accounts = KEYS[1], KEYS[2]
local age = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1])
-- microseconds, so that the order of accounts is that of their verdicts also within a second
local score = now * 1000000 + tonumber(time[2])

for i = 6, #ARGV, 2 do
	local account, text = ARGV[i], ARGV[i + 1]

	redis.call('XADD', stream, 'MAXLEN', '~', ARGV[1], '*', 'a', account, 'v', text)
	if account ~= '' then
		local list = ARGV[5] .. account

		redis.call('LPUSH', list, text)
		redis.call('LTRIM', list, 0, tonumber(ARGV[3]) - 1)
		redis.call('EXPIRE', list, age)
		redis.call('ZADD', accounts, string.format('%.0f', score + i), account)
	end
end

-- MINID came with Redis 6.2; before it the number alone bounds the stream until it expires
redis.pcall('XTRIM', stream, 'MINID', '~', (now - age) * 1000)
redis.call('EXPIRE', stream, age)
redis.call('EXPIRE', accounts, age)
local many = redis.call('ZCARD', accounts) - tonumber(ARGV[4])
if many > 0 then
	for _, account in ipairs(redis.call('ZRANGE', accounts, 0, many - 1)) do
		redis.call('DEL', ARGV[5] .. account)
	end
	redis.call('ZREMRANGEBYRANK', accounts, 0, many - 1)
end
return 1
