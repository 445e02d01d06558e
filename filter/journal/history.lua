-- history.lua - add decisions to the history that all filters share
--
-- KEYS[1]	a stream of batches, the newest at the end: "n" and how many decisions, then of each its
--		account and text
-- KEYS[2]	a sorted set: accounts by the time of their last decision
-- KEYS[3]	a list, the newest first: the id of each batch in the stream, and how many decisions
--		there were up to it
-- ARGV[1]	how many it keeps, about
-- ARGV[2]	for how many seconds
-- ARGV[3]	how many of its last decisions each account keeps in a list of its own
-- ARGV[4]	how many accounts have such a list at most
-- ARGV[5]	what stands before an account in the key of its list; same hash tag
-- then for each decision: account (percent-encoded, "" for none), text

if redis.replicate_commands then
	redis.replicate_commands()
end

local stream, accounts = KEYS[1], KEYS[2]
local most, age, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local n = (#ARGV - 5) / 2

local last = redis.call('LRANGE', KEYS[3], 0, 0)[1]
local total = n + (last and tonumber(string.match(last, '%d+$')) or 0)
local id = redis.call('XADD', stream, 'MAXLEN', '~', most, '*', 'n', n, unpack(ARGV, 6))
local batches = redis.call('LPUSH', KEYS[3], string.format('%s %.0f', id, total))

-- the oldest batches go once there are enough decisions without them, or they are too old; they are
-- not read for it, which would cost more than all else here
local too_old, gone = (tonumber(time[1]) - age) * 1000, 0
local oldest = redis.call('LRANGE', KEYS[3], -4, -1)
for i = #oldest, 1, -1 do
	local at, before = string.match(oldest[i], '^(%d+)%-%d+ (%d+)$')

	if total - tonumber(before) < most and tonumber(at) > too_old then
		break
	end
	gone = gone + 1
end
if gone > 0 then
	redis.call('XTRIM', stream, 'MAXLEN', batches - gone)
	redis.call('LTRIM', KEYS[3], 0, -1 - gone)
end
redis.call('EXPIRE', stream, age)
redis.call('EXPIRE', KEYS[3], age)

-- an account's list is written once, however many of its decisions are in the batch
local texts, names = {}, {}
for i = 6, #ARGV, 2 do
	local list = texts[ARGV[i]]

	if list then
		list[#list + 1] = ARGV[i + 1]
	elseif ARGV[i] ~= '' then
		texts[ARGV[i]] = { ARGV[i + 1] }
		names[#names + 1] = ARGV[i]
	end
end
if #names == 0 then
	return 1
end
local score, marks = time[1] .. string.format('%06d', time[2]), {}
for i, account in ipairs(names) do
	local list = ARGV[5] .. account

	if redis.call('LPUSH', list, unpack(texts[account])) > keep then
		redis.call('LTRIM', list, 0, keep - 1)
	end
	redis.call('EXPIRE', list, age)
	marks[2 * i - 1], marks[2 * i] = score, account
end
redis.call('ZADD', accounts, unpack(marks))
redis.call('EXPIRE', accounts, age)

-- batches of 25 add no more accounts than go here
local many = redis.call('ZCARD', accounts) - tonumber(ARGV[4])
if many > 0 then
	many = math.min(many, 50)
	local lists = redis.call('ZRANGE', accounts, 0, many - 1)

	for i, account in ipairs(lists) do
		lists[i] = ARGV[5] .. account
	end
	redis.call('DEL', unpack(lists))
	redis.call('ZREMRANGEBYRANK', accounts, 0, many - 1)
end
return 1
