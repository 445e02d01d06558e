-- rates.lua - add to the counts of a host in a minute, and in its hour
--
-- KEYS[1]	hash of the minutes of an hour: "minute host" -> counts, "action:accept=5,..."; "host:"
--		and a host -> its number among the hosts; "hosts" -> how many there are
-- KEYS[2]	hash of the hours of a day: "hour host" -> counts, and so on; same hash tag
-- ARGV		the counts; then for each of the two hashes: seconds until it is forgotten, the most
--		hosts it has, the minute or hour, and the host. Hosts beyond them are counted as "*".

local function counts_of(text, counts)
	for word, n in string.gmatch(text, '([%a:%-]+)=(%d+)') do
		counts[word] = (counts[word] or 0) + tonumber(n)
	end
	return counts
end

-- fits - is a host one of the first hosts of a hash?
local function fits(key, host, most)
	if redis.call('HEXISTS', key, 'host:' .. host) == 1 then
		return true
	end
	local n = 1 + tonumber(redis.call('HGET', key, 'hosts') or '0')

	if n <= most then
		redis.call('HSET', key, 'host:' .. host, n, 'hosts', n)
	end
	return n <= most
end

for i = 1, 2 do
	local age, most, time, host = unpack(ARGV, 4 * i - 2, 4 * i + 1)
	local field = time .. ' ' .. host
	local old, words = redis.call('HGET', KEYS[i], field), {}

	if not old and not fits(KEYS[i], host, tonumber(most)) then
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
