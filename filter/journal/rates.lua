-- rates.lua - add to the counts of a host in a minute, and in its hour
--
-- KEYS[1]	hash of the minutes of an hour: "minute host" -> counts, "action:accept=5,..."
-- KEYS[2]	hash of the hours of a day: "hour host" -> counts; same hash tag
-- ARGV		the counts; then for each of the two hashes: seconds until it is forgotten, the most
--		fields it has, the minute or hour, and the host. Of hosts beyond them "*" is counted.

local function counts_of(text, counts)
	for word, n in string.gmatch(text, '([%a:%-]+)=(%d+)') do
		counts[word] = (counts[word] or 0) + tonumber(n)
	end
	return counts
end

for i = 1, 2 do
	local age, most, time, host = unpack(ARGV, 4 * i - 2, 4 * i + 1)
	local field = time .. ' ' .. host
	local old, words = redis.call('HGET', KEYS[i], field), {}

	if not old and redis.call('HLEN', KEYS[i]) >= tonumber(most) then
		field = time .. ' *'
		old = redis.call('HGET', KEYS[i], field)
	end
	for word, n in pairs(counts_of(ARGV[1], counts_of(old or '', {}))) do
		words[#words + 1] = string.format('%s=%.0f', word, n)
	end
	table.sort(words)
	redis.call('HSET', KEYS[i], field, table.concat(words, ','))
	redis.call('EXPIRE', KEYS[i], age)
end
return 1
