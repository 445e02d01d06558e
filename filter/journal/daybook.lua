-- daybook.lua - add what accounts did within an hour to their rows of the day
--
-- KEYS[1]	hash of the day: account -> row, see daybook_unpack() in daybook.h
-- ARGV[1]	seconds until the day is forgotten
-- ARGV[2]	hour of the day, 0 to 23
-- ARGV[3]	accounts kept a day at most; what others do is added up under "*"
-- then for each account, once: account, what it did (daybook_pack()), refusals ("over=2,...")
-- -> how many of them went to "*"

local byte, sub, unpack_from, pack = string.byte, string.sub, struct.unpack, struct.pack
local hour = tonumber(ARGV[2])
local MOST = 4294967295
local WIDTHS = { [0] = { 4, '<BBBB', 256 }, { 7, '<HHHB', 65536 }, { 13, '<I4I4I4B', MOST + 1 } }

local function sum(a, b)
	local c = a + b

	return c < MOST and c or MOST
end

-- added - refusals as text, and more of them
local function added(old, more)
	local counts, words = {}, {}

	for word, n in string.gmatch(old .. ',' .. more, '([%a%-]+)=(%d+)') do
		if not counts[word] then
			words[#words + 1] = word
		end
		counts[word] = sum(counts[word] or 0, tonumber(n))
	end
	table.sort(words)
	for i, word in ipairs(words) do
		words[i] = string.format('%s=%.0f', word, counts[word])
	end
	return table.concat(words, ',')
end

-- place - where the hour is among the hours of a row, or belongs: its first octet, and the one
-- after it
local function place(hours)
	local last = #hours

	while last > 0 do
		local tag = byte(hours, last)
		local width = WIDTHS[(tag - tag % 32) / 32]

		if not width or width[1] > last then
			break
		end
		if tag % 32 == hour then
			return last - width[1] + 1, last + 1
		end
		if tag % 32 < hour then
			break
		end
		last = last - width[1]
	end
	return last + 1, last + 1
end

-- row - an account's row with what it did
local function row(old, delta, refusals)
	local total, connections, words, hours = 0, 0, '', ''
	local bytes, m, r, f, more = unpack_from('<dI4I4I4I4', delta)

	if old and #old >= 14 then
		local len

		total, connections, len = unpack_from('<dI4I2', old)
		words, hours = sub(old, 15, 14 + len), sub(old, 15 + len)
	end
	local first, after = place(hours)
	if after - first >= 4 then
		local tag = byte(hours, after - 1)
		local a, b, c = unpack_from(WIDTHS[(tag - tag % 32) / 32][2], hours, first)

		m, r, f = sum(m, a), sum(r, b), sum(f, c)
	end
	local most, code = math.max(m, r, f), 0
	while most >= WIDTHS[code][3] do
		code = code + 1
	end
	if refusals ~= '' then
		words = added(words, refusals)
	end
	return pack('<dI4I2', total + bytes, sum(connections, more), #words) .. words ..
	    sub(hours, 1, first - 1) .. pack(WIDTHS[code][2], m, r, f, hour + 32 * code) ..
	    sub(hours, after)
end

local names, rows, rest, beyond = {}, {}, nil, 0

for i = 4, #ARGV, 3 do
	names[#names + 1] = ARGV[i]
end
local olds = redis.call('HMGET', KEYS[1], unpack(names))
local room = tonumber(ARGV[3]) - redis.call('HLEN', KEYS[1])

for i, name in ipairs(names) do
	local delta, refusals = ARGV[2 + 3 * i], ARGV[3 + 3 * i]

	if not olds[i] and room <= 0 then
		rest = row(rest or redis.call('HGET', KEYS[1], '*'), delta, refusals)
		beyond = beyond + 1
	else
		room = olds[i] and room or room - 1
		rows[#rows + 1] = name
		rows[#rows + 1] = row(olds[i], delta, refusals)
	end
end
if rest then
	rows[#rows + 1] = '*'
	rows[#rows + 1] = rest
end
redis.call('HSET', KEYS[1], unpack(rows))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return beyond
