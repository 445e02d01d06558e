-- quick.lua - the windows of a key as one string, and the charge that nearly all messages are
--
-- The front part of the script; quota.lua follows it, and Makefile.am joins the two. A message of an
-- account, with its domain, pool and network, whose limits are windows is charged here, by four
-- commands and three more for each of the others, if nothing is set by hand, no limit is exceeded,
-- the clock has not run back, the id is new, and all recipients were written to within a day, where
-- new ones count. For every other message this part writes nothing, and quota.lua decides from the
-- start. So it stays one call.
--
-- KEYS, ARGV and the answer are described in quota.lua. Numbers below are little-endian.
--
-- The plan (ARGV[4]): how many counters it has (2 octets), then 1 if a blocked account is refused
-- or 0 if its block is for others to report; then, each for all counters in turn:
--	name: the letter of the unit and the length of the window in ms (6 octets);
--	width of a bucket in ms, limit, cost (3 doubles);
--	cost of the smallest message (double);
--	subject (1 is KEYS[3]), 1 if the limit is binding and 2 more if no message passes while the
--	count is over it, kind: 0 a sum, 1 different things, else a sum of new recipients, and the
--	number in KEYS of who is not new (3 octets).
-- The counters are in the order of their subjects.
--
-- Windows: how many there are (2 octets); then, each for all in turn:
--	name, as above;
--	number of the newest bucket, total, count of the newest bucket (5, 7 and 7 octets);
--	octets of each older count, how many there are (2 octets);
--	the older counts, the one next to the newest first. Zeros at the end may be left out.
-- The windows of the plan that was charged last come first, in its order.
--
-- An account's windows are a string, KEYS[#KEYS]: in a hash they would take 120 octets more. Those of
-- others are in the field "w" of their hash.

-- Before Redis 5 a script that asks for the time may not write unless it says this.
if redis.replicate_commands then
	redis.replicate_commands()
end

local byte, sub, rep = string.byte, string.sub, string.rep
local read, write = struct.unpack, struct.pack
local BUCKETS = 48		-- policy/quota/window.h
local MOST = 9007199254740991
local FRESH = 86400000		-- policy/quota/recent.h
local plan = ARGV[4]

local now = tonumber(ARGV[3])
if not now then
	local time = redis.call('TIME')
	now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- How many octets a count takes.
local function octets_for(count)
	local octets, most = 1, 256
	while count >= most do
		octets, most = octets + 1, most * 256
	end
	return octets
end

-- The older counts of all windows in a value: octets of each, and their string. Nothing if the
-- value is not well formed.
local function older_of(value, all)
	if #value < 27 * all + 2 then
		return
	end
	local wides, olders, at = {}, {}, 27 * all + 3
	for i = 1, all do
		local wide, count = byte(value, 25 * all + 1 + 2 * i, 25 * all + 2 + 2 * i)
		if wide < 1 or wide > 7 or count > BUCKETS then
			return
		end
		wides[i], olders[i] = wide, sub(value, at, at + wide * count - 1)
		at = at + wide * count
	end
	if at == #value + 1 then
		return wides, olders
	end
end

-- Let a window go on by some buckets: its total, and its older counts with the newest in front.
local function turn(ahead, total, newest, wide, older)
	if ahead > BUCKETS or total == 0 then
		return 0, 1, ''
	end
	local needs = octets_for(newest)
	if needs > wide then
		local from, to, wider = '<I' .. wide, '<I' .. needs, {}
		for at = 1, #older, wide do
			wider[#wider + 1] = write(to, (read(from, older, at)))
		end
		wide, older = needs, table.concat(wider)
	end
	local format, kept = '<I' .. wide, (BUCKETS - ahead) * wide
	for at = kept + 1, #older, wide do
		total = total - read(format, older, at)
	end
	return total, wide, rep('\0', (ahead - 1) * wide) .. write(format, newest) ..
	    sub(older, 1, kept)
end

-- The value of some windows: start is their number and names, three numbers are held of each.
local function value_of(start, held, wides, olders)
	local counts = {}
	for i, wide in ipairs(wides) do
		counts[i] = string.char(wide, #olders[i] / wide)
	end
	return start .. write('<' .. rep('I5I7I7', #wides), unpack(held)) .. table.concat(counts) ..
	    table.concat(olders)
end

-- For how long windows count, in ms: two buckets longer than the longest.
local function life_of(value, all)
	local longest = 0
	for i = 1, all do
		longest = math.max(longest, (read('<I5', value, 6 * i - 2)))
	end
	return math.ceil(longest / BUCKETS) * (BUCKETS + 2)
end

-- A hash lives two buckets longer than its longest window, so it need be prolonged only when
-- one of its windows enters a new bucket; and a quarter more, so that not even then always. It is
-- never made to expire earlier: windows that the plan no longer has may come back.
local function prolong(key, life)
	if life > 0 and redis.call('PTTL', key) < life then
		redis.call('PEXPIRE', key, string.format('%.0f', life + math.floor(life / 4)))
	end
end

-- Whether a limit of counters first to last is raised, in the hash of a domain, pool or network.
local function is_raised(key, first, last)
	if redis.call('HLEN', key) == 1 then
		return false
	end
	local fields = {}
	for i = first, last do
		local at = 6 * i - 2
		fields[#fields + 1] = string.format('max:%s%.0f.%d', sub(plan, at, at),
		    read('<I5', plan, at + 1), BUCKETS)
	end
	for _, value in ipairs(redis.call('HMGET', key, unpack(fields))) do
		local ending = value and tonumber(string.match(value, '^%d+'))
		if ending and (ending == 0 or ending > now) then
			return true
		end
	end
	return false
end

-- Whether all recipients are in the set of a key, and were noted within a day.
local known_in = {}

local function knows_all(key)
	if known_in[key] == nil then
		known_in[key] = true
		for i = 1, #(ARGV[6] or ''), 8 do
			local seen = redis.call('ZSCORE', key, sub(ARGV[6], i, i + 7))
			if not seen or tonumber(seen) < now - FRESH then
				known_in[key] = false
				break
			end
		end
	end
	return known_in[key]
end

-- Counters first to last of a key, whose windows are value, with the message: the new windows, and
-- whether one went on. Nothing if this is for quota.lua.
local function charged(value, first, last, asked, answer)
	local n, before, went_on = last - first + 1, 3 * first - 3, false
	if not value or sub(value, 3, 6 * n + 2) ~= sub(plan, 6 * first - 2, 6 * last + 3) then
		return
	end
	local all, flags = byte(value) + 256 * byte(value, 2), 38 * #asked / 3 + 2
	if all < n or #value < 27 * all + 2 then
		return
	end
	local held, wides, olders = { read('<' .. rep('I5I7I7', all), value, 6 * all + 3) }
	for c = 3, 3 * n, 3 do
		local a, b, ask = c - 2, c - 1, before + c
		local width, cost, known = asked[ask - 2], asked[ask], byte(plan, flags + ask + 1)
		if known > 0 then
			if not knows_all(KEYS[known]) then
				return
			end
			cost = 0
		end
		local bucket = (now - now % width) / width
		local ahead = bucket - held[a]
		if ahead < 0 then
			return
		elseif ahead > 0 then
			if not wides then
				wides, olders = older_of(value, all)
				if not wides then
					return
				end
			end
			local i = c / 3
			held[b], wides[i], olders[i] =
			    turn(ahead, held[b], held[c], wides[i], olders[i])
			held[a], held[c], went_on = bucket, 0, true
		end
		local used = held[b] + cost
		if used > MOST or
		    used > asked[ask - 1] and cost > 0 and byte(plan, flags + ask) == 1 then
			return
		end
		held[b], held[c], answer[2 + ask / 3] = used, held[c] + cost, used
	end
	local start = sub(value, 1, 6 * all + 2)
	if wides then
		return value_of(start, held, wides, olders), all, went_on
	end
	return start .. write('<' .. rep('I5I7I7', all), unpack(held)) .. sub(value, 25 * all + 3),
	    all, went_on
end

-- The answer, or nothing if this is for quota.lua.
local function charge_quickly()
	local n, answer, keys, first = byte(plan), { 8, now }, {}, 1
	local asked, subjects = { read('<' .. rep('d', 3 * n), plan, 6 * n + 4) }, 38 * n + 1
	asked[#asked] = nil		-- where reading ended
	if redis.call('HLEN', KEYS[2]) > 0 then
		return
	end
	while first <= n do
		local subject, last, value, all, went_on = byte(plan, subjects + 3 * first), first
		while last < n and byte(plan, subjects + 3 * last + 3) == subject do
			last = last + 1
		end
		local key = KEYS[subject + 2]
		if subject == 1 then
			value = redis.call('GET', KEYS[#KEYS])
		elseif not is_raised(key, first, last) then
			value = redis.call('HGET', key, 'w')
		end
		value, all, went_on = charged(value, first, last, asked, answer)
		if not value then
			return
		end
		keys[#keys + 1] = { subject, value, all, went_on }
		first = last + 1
	end
	if now < 1 or not redis.call('SET', KEYS[1], now, 'NX', 'PX', ARGV[2]) then
		return
	end
	for _, one in ipairs(keys) do
		local subject, value, all, went_on = unpack(one)
		if subject == 1 then
			redis.call('SET', KEYS[#KEYS], value, 'PX', life_of(value, all))
		else
			local key = KEYS[subject + 2]
			redis.call('HSET', key, 'w', value)
			if went_on then
				prolong(key, life_of(value, all))
			end
		end
	end
	return answer
end

if ARGV[1] == 'quick' then
	local answer = charge_quickly()
	if answer then
		return answer
	end
end
