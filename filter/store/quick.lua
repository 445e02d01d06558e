-- quick.lua - the windows of a key as one string, and the charge that nearly all messages are
--
-- The front part of the script; quota.lua follows it, and Makefile.am joins the two. A message of
-- an account, with its domain, pool and network, whose limits are windows is charged here, by five
-- commands and three more for each of the others, if nothing is set by hand, no limit is exceeded,
-- the clock has not run back, the id is new, and all recipients were written to within a day, if
-- new ones count. For every other message this part writes nothing, and quota.lua decides from the
-- start. So it stays one call.
--
-- KEYS, ARGV and the answer are described in quota.lua. Numbers below are little-endian.
--
-- The plan (ARGV[1]): how many counters it has (2 octets), then 1 if a blocked account is refused
-- or 0 if its block is for others to report; then, each for all counters in turn:
--	name: the letter of the unit and the length of the window in ms (6 octets);
--	width of a bucket in ms, limit, cost (3 doubles); subject (1 is KEYS[3]), 1 if the limit is
--	binding and 2 more if no message passes while the count is over it, kind: 0 a sum, 1
--	different things, else a sum of new recipients, and the number in KEYS of who is not new
--	(3 octets);
--	cost of the smallest message (double).
-- The counters are in the order of their subjects.
--
-- Windows: how many there are (2 octets); then, each for all in turn:
--	name, as above;
--	number of the newest bucket, total, count of the newest bucket (5, 7 and 7 octets);
--	octets of each older count, how many there are (2 octets);
--	the older counts, the one next to the newest first. Zeros at the end may be left out.
-- The windows of the plan that was charged last come first, in its order. So a charge changes
-- nothing but some numbers in the middle, as long as it is in the newest bucket of each window.
--
-- An account's windows are a string, KEYS[#KEYS]: in a hash they would take 120 octets more. Those
-- of others are in the field "w" of their hash.
--
-- Each command takes time here, each thing that is allocated (also a function, or a variable that
-- functions share), and each number that becomes text. So what few messages need is in functions
-- that are made when one of them needs it: make_tools(), and all of quota.lua.

-- Before Redis 5 a script that asks for the time may not write unless it says this.
if redis.replicate_commands then
	redis.replicate_commands()
end

local ID_TTL = '600000'		-- quota_command.h
local plan, stamp = ARGV[1], ARGV[2]

if not stamp or stamp == '' then
	local time = redis.call('TIME')
	stamp = time[1] .. string.sub('00000' .. time[2], -6, -4)
end
local now = tonumber(stamp)

-- What is needed if a window goes on to another bucket.
local function make_tools()
	local tools, byte, sub = {}, string.byte, string.sub
	local read, write = struct.unpack, struct.pack
	local BUCKETS = 48		-- policy/quota/window.h

	-- How many octets a count takes.
	function tools.octets_for(count)
		local octets, most = 1, 256
		while count >= most do
			octets, most = octets + 1, most * 256
		end
		return octets
	end

	-- The older counts of all windows in a value: octets of each, and their string. Nothing if
	-- the value is not well formed.
	function tools.older_of(value, all)
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

	-- Let a window go on by some buckets: its total, and its older counts with the newest in
	-- front.
	function tools.turn(ahead, total, newest, wide, older)
		if ahead > BUCKETS or total == 0 then
			return 0, 1, ''
		end
		local needs = tools.octets_for(newest)
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
		return total, wide, string.rep('\0', (ahead - 1) * wide) .. write(format, newest) ..
		    sub(older, 1, kept)
	end

	-- The end of a value: octets and number of the older counts of each window, and these.
	function tools.ending_of(wides, olders)
		local counts = {}
		for i, wide in ipairs(wides) do
			counts[i] = string.char(wide, #olders[i] / wide)
		end
		return table.concat(counts) .. table.concat(olders)
	end

	-- For how long windows count, in ms: two buckets longer than the longest.
	function tools.life_of(value)
		local longest = 0
		for i = 1, byte(value) + 256 * byte(value, 2) do
			longest = math.max(longest, (read('<I5', value, 6 * i - 2)))
		end
		return math.ceil(longest / BUCKETS) * (BUCKETS + 2)
	end

	-- A hash lives two buckets longer than its longest window, so it need be prolonged only
	-- when one of its windows enters a new bucket; and a quarter more, so that not even then
	-- always. It is never made to expire earlier: windows that the plan no longer has may come
	-- back.
	function tools.prolong(key, life)
		if life > 0 and redis.call('PTTL', key) < life then
			redis.call('PEXPIRE', key,
			    string.format('%.0f', life + math.floor(life / 4)))
		end
	end

	return tools
end

-- Put numbers into the account's windows, whose life goes on. The id is written already, so a user
-- of Redis who may not SETRANGE, as in releases before it was needed, must count all the same.
local function overwrite(value, start, numbers)
	if type(redis.pcall('SETRANGE', KEYS[#KEYS], start, numbers)) ~= 'number' then
		redis.call('SET', KEYS[#KEYS], string.sub(value, 1, start) .. numbers ..
		    string.sub(value, start + #numbers + 1), 'PX', make_tools().life_of(value))
	end
end

-- Count the message in counters first to last of a key. Value holds its windows; asked are width,
-- limit, cost, and subject + 256 * binding + 65536 * kind of each counter. Returns where the numbers
-- of these windows start in the value, and the new ones; if a window went on, also the whole new
-- value, and the tools. Nothing if this is for quota.lua.
local function charged(value, first, last, asked)
	local n, wides, olders, tools = last - first + 1
	if not value or
	    string.sub(value, 3, 6 * n + 2) ~= string.sub(plan, 6 * first - 2, 6 * last + 3) then
		return
	end
	local format, all = string.rep('<I5I7I7', n), struct.unpack('<H', value)
	if all < n or #value < 27 * all + 2 then
		return
	end
	local start, held = 6 * all + 2, { struct.unpack(format, value, 6 * all + 3) }
	for i = 1, n do
		local a, b, c, ask = 3 * i - 2, 3 * i - 1, 3 * i, 4 * (first + i - 1)
		local width, most, cost = asked[ask - 3], asked[ask - 2], asked[ask - 1]
		local ahead = (now - now % width) / width - held[a]
		if ahead < 0 then
			return
		elseif ahead > 0 then
			if not tools then
				tools = make_tools()
				wides, olders = tools.older_of(value, all)
				if not wides then
					return
				end
			end
			held[b], wides[i], olders[i] =
			    tools.turn(ahead, held[b], held[c], wides[i], olders[i])
			held[a], held[c] = held[a] + ahead, 0
		end
		local used = held[b] + cost
		if used > 9007199254740991 or used > most and cost > 0 and asked[ask] > 255 then
			return
		end
		held[b], held[c] = used, held[c] + cost
	end
	local numbers = struct.pack(format, unpack(held))
	if tools then
		local whole = string.sub(value, 1, start) .. numbers ..
		    string.sub(value, start + #numbers + 1, 25 * all + 2) ..
		    tools.ending_of(wides, olders)
		return start, numbers, whole, tools
	end
	return start, numbers
end

-- Charge an account alone. The answer, or nothing if this is for quota.lua.
local function charge_alone()
	local n = string.byte(plan)
	local asked = { struct.unpack(string.rep('<dddI3', n), plan, 6 * n + 4) }
	if redis.call('HLEN', KEYS[2]) > 0 then
		return
	end
	local value = redis.call('GET', KEYS[#KEYS])
	local start, numbers, whole, tools = charged(value, 1, n, asked)
	if not start or now < 1 or
	    not redis.call('SET', KEYS[1], stamp, 'NX', 'PX', ID_TTL) then
		return
	end
	if whole then
		redis.call('SET', KEYS[#KEYS], whole, 'PX', tools.life_of(whole))
	else
		overwrite(value, start, numbers)
	end
	return stamp .. numbers
end

-- The same for an account with others, and if new recipients count.
local function charge_together()
	local n, first, answer, known_in, writes = string.byte(plan), 1, stamp, {}, {}
	local asked = { struct.unpack(string.rep('<dddI3', n), plan, 6 * n + 4) }

	-- Whether all recipients are in a set, and were noted within a day.
	local function knows_all(key)
		if known_in[key] then
			return true
		end
		for i = 1, #ARGV[5], 8 do
			local seen = redis.call('ZSCORE', key, string.sub(ARGV[5], i, i + 7))
			if not seen or tonumber(seen) < now - 86400000 then -- policy/quota/recent.h
				return false
			end
		end
		known_in[key] = true
		return true
	end

	-- Whether a limit of counters first to last is raised, in the hash of a domain, pool or
	-- network.
	local function is_raised(key, last)
		if redis.call('HLEN', key) == 1 then
			return false
		end
		local fields = {}
		for i = first, last do
			local at = 6 * i - 2
			fields[#fields + 1] = string.format('max:%s%.0f.48',
			    string.sub(plan, at, at), struct.unpack('<I5', plan, at + 1))
		end
		for _, value in ipairs(redis.call('HMGET', key, unpack(fields))) do
			local ending = value and tonumber(string.match(value, '^%d+'))
			if ending and (ending == 0 or ending > now) then
				return true
			end
		end
		return false
	end

	if redis.call('HLEN', KEYS[2]) > 0 then
		return
	end
	for ask = 4, 4 * n, 4 do
		local known = math.floor(asked[ask] / 65536)
		if known > 0 then
			if not knows_all(KEYS[known]) then
				return
			end
			asked[ask - 1] = 0
		end
	end
	while first <= n do
		local subject, last, value = asked[4 * first] % 256, first
		while last < n and asked[4 * last + 4] % 256 == subject do
			last = last + 1
		end
		local key = KEYS[subject + 2]
		if subject == 1 then
			value = redis.call('GET', KEYS[#KEYS])
		elseif not is_raised(key, last) then
			value = redis.call('HGET', key, 'w')
		end
		local start, numbers, whole, tools = charged(value, first, last, asked)
		if not start then
			return
		end
		whole = whole or string.sub(value, 1, start) .. numbers ..
		    string.sub(value, start + #numbers + 1)
		writes[#writes + 1] = { subject, whole, tools }
		answer, first = answer .. numbers, last + 1
	end
	if now < 1 or not redis.call('SET', KEYS[1], stamp, 'NX', 'PX', ID_TTL) then
		return
	end
	for _, one in ipairs(writes) do
		local subject, value, tools = unpack(one)
		local key = KEYS[subject + 2]
		if subject > 1 then
			redis.call('HSET', key, 'w', value)
			if tools then
				tools.prolong(key, tools.life_of(value))
			end
		elseif tools then
			redis.call('SET', KEYS[#KEYS], value, 'PX', tools.life_of(value))
		else
			overwrite(value, 0, value)
		end
	end
	return answer
end

local op = ARGV[3]
local answer = not op and charge_alone() or op == 'quick' and charge_together()
if answer then
	return answer
end
