-- daybook.lua - add what accounts did to the sums of a day
--
-- KEYS[1]	hash of the day: account -> sums
-- ARGV[1]	seconds until the day is forgotten
-- ARGV[2]	hour of the day, 0 to 23
-- ARGV[3]	accounts kept a day at most; what others do is added up under "*"
-- then for each account: account, messages, recipients, bytes, connections, refusals ("over=2,...")
-- -> how many of them went to "*"
--
-- Sums are text, as daybook.h says: messages recipients bytes connections, the same three of the fullest
-- hour, then an hour and the three of that hour so far, then the refusals or "-".

local FIELDS = 11

local function numbers_of(text)
	local numbers = {}

	for word in string.gmatch(text or '', '%d+') do
		numbers[#numbers + 1] = tonumber(word)
		if #numbers == FIELDS then
			break
		end
	end
	for i = #numbers + 1, FIELDS do
		numbers[i] = 0
	end
	return numbers
end

local function refusals_of(text, sums)
	for word, n in string.gmatch(text or '', '([%a%-]+)=(%d+)') do
		sums[word] = (sums[word] or 0) + tonumber(n)
	end
	return sums
end

local function written(numbers, refusals)
	local words, parts = {}, {}

	for i = 1, FIELDS do
		parts[i] = string.format('%.0f', numbers[i])
	end
	for word in pairs(refusals) do
		words[#words + 1] = word
	end
	table.sort(words)
	for i, word in ipairs(words) do
		words[i] = string.format('%s=%.0f', word, refusals[word])
	end
	parts[FIELDS + 1] = #words > 0 and table.concat(words, ',') or '-'
	return table.concat(parts, ' ')
end

local beyond = 0

for i = 4, #ARGV, 6 do
	local account, hour = ARGV[i], tonumber(ARGV[2])
	local old = redis.call('HGET', KEYS[1], account)

	if not old and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
		account = '*'
		beyond = beyond + 1
		old = redis.call('HGET', KEYS[1], account)
	end
	local n = numbers_of(old)
	if n[8] ~= hour then
		n[8], n[9], n[10], n[11] = hour, 0, 0, 0
	end
	for k = 1, 4 do
		n[k] = n[k] + tonumber(ARGV[i + k])
	end
	for k = 1, 3 do
		n[8 + k] = n[8 + k] + tonumber(ARGV[i + k])
		n[4 + k] = math.max(n[4 + k], n[8 + k])
	end
	redis.call('HSET', KEYS[1], account, written(n, refusals_of(ARGV[i + 5], refusals_of(old, {}))))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return beyond
