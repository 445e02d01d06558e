-- quota.lua - charge, read or correct all counters of one message, as one step
--
-- The same rules as policy/window.c and filter/store_embedded.c, for counts that
-- several filters share. Redis runs it whole or not at all, so a message is counted in
-- every window or in none.
--
-- KEYS[1]	remembers the charge id: the stamp of the charge, or 0 when it is void
-- KEYS[2]	a hash of what operators set for the account: "block" = "UNTIL REASON",
--		"max:FIELD" = "UNTIL LIMIT"; UNTIL in milliseconds, of a block 0 for no end
-- KEYS[3..]	one hash a subject, the account's first; all keys share one hash tag
--
-- ARGV[1]	"charge", "read", "merge", "void" or "reset"; "block", "unblock", "raise", "unraise"
-- ARGV[2]	for how long ids are remembered, in milliseconds
-- ARGV[3]	the time in milliseconds, or "" for the store's clock (only tests give one)
-- ARGV[4]	merge: how long ago the message was accepted, in milliseconds
-- ARGV[5]	the number of buckets in a window
-- ARGV[6]	1 when a blocked account is refused, 0 when its block is for others to report
-- then for each counter, in the order of their subjects:
--	subject (1 is KEYS[3]), field, bucket width in ms, limit, cost,
--	cost of the smallest message, 1 when the limit is binding else 0
-- but for
--	block:	for how long in ms (0: no end), reason
--	raise:	for how long in ms, field, limit
--
-- A field holds {number of the newest bucket, total, counts from the newest bucket to
-- the oldest}, zeros at the end left out, packed by cmsgpack: that keeps every whole number
-- below 2^53 exact, which Lua's own way of writing numbers does not.
--
-- Answer: {state, now, then for each counter: used, wait, one, next, then for each raised limit:
-- its counter (from 0), the limit in force, for how long}; see struct quota_count.
-- state: 0 refused, 1 charged, 2 was charged before, 3 void, 4 read;
-- {5, now, for how long or -1, reason} refused, the account is blocked;
-- {6, now, n} n things that operators set were changed.

-- Before Redis 5 a script that asks for the time may not write unless it says this.
if redis.replicate_commands then
	redis.replicate_commands()
end

local op, id_ttl = ARGV[1], ARGV[2]
local buckets = tonumber(ARGV[5])
local MOST = 9007199254740991
local STRIDE = 7

local function clock()
	if ARGV[3] ~= '' then
		return tonumber(ARGV[3])
	end
	local time = redis.call('TIME')
	return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local now = clock()

-- A window is {head, total, slot, slot, ...}: slot i at index i + 3, missing ones are 0.
local OLDEST = buckets + 3

local function unpacked(value)
	if value then
		local ok, window = pcall(cmsgpack.unpack, value)
		if ok and type(window) == 'table' and window[1] and window[2] then
			return window
		end
	end
	return { 0, 0 }
end

local function packed(window)
	local last = #window
	while last > 2 and window[last] == 0 do
		window[last] = nil
		last = last - 1
	end
	return cmsgpack.pack(window)
end

-- Forget what has left the window by now. Time never runs back within a window; a head
-- more than a window ahead was stamped by a wrong clock, so it is put right.
local function turned(window, width)
	local head = math.floor(now / width)
	local ahead = head - window[1]
	if window[2] == 0 then
		return { head, 0 }
	end
	if ahead == 0 or (ahead < 0 and ahead >= -buckets) then
		return window
	end
	if ahead < 0 then
		window[1] = head
		return window
	end
	if ahead > buckets then
		return { head, 0 }
	end
	local fresh, total = { head, 0 }, 0
	for i = 3, ahead + 2 do
		fresh[i] = 0
	end
	for i = ahead + 3, OLDEST do
		local count = window[i - ahead]
		if not count then
			break
		end
		fresh[i] = count
		total = total + count
	end
	fresh[2] = total
	return fresh
end

-- Count at an index, filling the gap of left out zeros before it.
local function add(window, index, amount)
	local room = MOST - window[2]
	if amount > room then
		amount = room
	end
	for i = #window + 1, index do
		window[i] = 0
	end
	window[index] = window[index] + amount
	window[2] = window[2] + amount
end

-- The index of the slot that a stamp falls into, or nil when it has left the window.
local function index_of(window, width, stamp)
	if stamp < 0 then
		stamp = 0
	end
	local age = window[1] - math.floor(stamp / width)
	if age < 0 then
		age = 0
	end
	if age <= buckets then
		return age + 3
	end
end

local function leaves_in(window, width, index)
	return (window[1] - (index - 3) + buckets + 1) * width - now
end

-- Milliseconds until cost more would fit under most; 0 now, -1 never.
local function wait(window, width, most, cost)
	if cost > most then
		return -1
	end
	local excess = window[2] - (most - cost)
	if excess <= 0 then
		return 0
	end
	for i = #window, 3, -1 do
		if window[i] >= excess then
			return leaves_in(window, width, i)
		end
		excess = excess - window[i]
	end
	return leaves_in(window, width, 3)
end

local function next_out(window, width)
	for i = #window, 3, -1 do
		if window[i] > 0 then
			return leaves_in(window, width, i)
		end
	end
	return 0
end

-- What operators set.
local by_hand = {}

local function read_by_hand()
	local flat = redis.call('HGETALL', KEYS[2])
	for i = 1, #flat, 2 do
		by_hand[flat[i]] = flat[i + 1]
	end
end

-- "UNTIL rest" as a number and a text, or nil when it has ended.
local function in_force(value)
	local ending, rest = string.match(value or '', '^(%d+) (.*)$')
	ending = tonumber(ending)
	if ending and (ending == 0 or ending > now) then
		return ending, rest
	end
end

local function raised(field)
	local ending, most = in_force(by_hand['max:' .. field])
	if ending then
		return tonumber(most), ending - now
	end
end

-- Forget what has ended, and let the key live as long as the rest.
local function tidy_by_hand()
	local last = 0
	for field, value in pairs(by_hand) do
		local ending = in_force(value)
		if not ending then
			redis.call('HDEL', KEYS[2], field)
		elseif ending == 0 or last < 0 then
			last = -1
		else
			last = math.max(last, ending)
		end
	end
	if last < 0 then
		redis.call('PERSIST', KEYS[2])
	elseif last > 0 then
		redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last))
	end
end

local function set_by_hand(field, length, rest)
	local ending = length > 0 and now + length or 0
	by_hand[field] = string.format('%.0f %s', ending, rest)
	redis.call('HSET', KEYS[2], field, by_hand[field])
	tidy_by_hand()
	return { 6, now, 1 }
end

-- Forget all fields that begin so.
local function unset_by_hand(start)
	local n = 0
	for field, value in pairs(by_hand) do
		if string.sub(field, 1, #start) == start then
			n = n + (in_force(value) and 1 or 0)
			redis.call('HDEL', KEYS[2], field)
			by_hand[field] = nil
		end
	end
	tidy_by_hand()
	return { 6, now, n }
end

-- Counters, as ARGV lists them, with their windows as of now.
local function counters()
	local list, from = {}, 7
	while ARGV[from] do
		local key, fields, first = KEYS[ARGV[from] + 2], {}, from
		while ARGV[from] == ARGV[first] do
			fields[#fields + 1] = ARGV[from + 1]
			from = from + STRIDE
		end
		local values = redis.call('HMGET', key, unpack(fields))
		for i = 1, #fields do
			local at = first + (i - 1) * STRIDE
			local width = tonumber(ARGV[at + 2])
			local stored = unpacked(values[i])
			local head = stored[1]
			local window = turned(stored, width)
			local most, left
			if ARGV[at] == '1' then
				most, left = raised(fields[i])
			end
			list[#list + 1] = {
				key = key,
				field = fields[i],
				width = width,
				most = most or tonumber(ARGV[at + 3]),
				raised = left,
				cost = tonumber(ARGV[at + 4]),
				one = tonumber(ARGV[at + 5]),
				binding = ARGV[at + 6] == '1',
				window = window,
				entered = window[1] ~= head,
			}
		end
	end
	return list
end

local function any_over(list)
	for _, counter in ipairs(list) do
		if counter.binding and (counter.cost > counter.most or
		    counter.window[2] > counter.most - counter.cost) then
			return true
		end
	end
	return false
end

-- A key lives two buckets longer than its longest window, so it need be prolonged only when
-- one of its windows enters a new bucket; and a quarter more, so that not even then always. It is
-- never made to expire earlier: windows that the plan no longer has may come back.
local function prolong(key, life)
	if redis.call('PTTL', key) < life then
		redis.call('PEXPIRE', key, string.format('%.0f', life + math.floor(life / 4)))
	end
end

-- Write the counters back, all of a key at once.
local function save(list)
	local from = 1
	while list[from] do
		local key, values, life = list[from].key, {}, 0
		while list[from] and list[from].key == key do
			local counter = list[from]
			values[#values + 1] = counter.field
			values[#values + 1] = packed(counter.window)
			if counter.entered then
				life = math.max(life, counter.width * (buckets + 2))
			end
			from = from + 1
		end
		redis.call('HSET', key, unpack(values))
		if life > 0 then
			prolong(key, life)
		end
	end
end

-- Only a refused or a read message wants to know how long to wait.
local function answer(state, list)
	local reply, waits = { state, now }, state == 0 or state == 4
	for _, counter in ipairs(list) do
		local n, window, width = #reply, counter.window, counter.width
		reply[n + 1] = window[2]
		reply[n + 2] = waits and wait(window, width, counter.most, counter.cost) or 0
		reply[n + 3] = waits and wait(window, width, counter.most, counter.one) or 0
		reply[n + 4] = waits and next_out(window, width) or 0
	end
	for i, counter in ipairs(list) do
		if counter.raised then
			local n = #reply
			reply[n + 1], reply[n + 2], reply[n + 3] = i - 1, counter.most, counter.raised
		end
	end
	return reply
end

local function remember(stamp)
	redis.call('SET', KEYS[1], string.format('%.0f', stamp), 'PX', id_ttl)
end

if op == 'reset' then
	redis.call('DEL', unpack(KEYS, 3))
	return { 4, now }
end

read_by_hand()

if op == 'block' then
	return set_by_hand('block', tonumber(ARGV[7]), ARGV[8])
elseif op == 'raise' then
	return set_by_hand('max:' .. ARGV[8], tonumber(ARGV[7]), ARGV[9])
elseif op == 'unblock' then
	return unset_by_hand('block')
elseif op == 'unraise' then
	return unset_by_hand('max:')
end

local list = counters()

if op == 'read' then
	return answer(4, list)
end

-- A call whose answer was lost may have been executed, or may be executed later.
local known = redis.call('GET', KEYS[1])

if op == 'void' then
	local stamp = known and tonumber(known) or 0
	for _, counter in ipairs(list) do
		local window = counter.window
		local index = stamp > 0 and index_of(window, counter.width, stamp)
		if index and window[index] then
			local amount = math.min(counter.cost, window[index])
			window[index] = window[index] - amount
			window[2] = window[2] - amount
		end
	end
	if stamp > 0 then
		save(list)
	end
	remember(0)
	return answer(3, list)
end

if known then
	return answer(known == '0' and 3 or 2, list)
end

if op == 'merge' then
	local stamp = now - tonumber(ARGV[4])
	for _, counter in ipairs(list) do
		local index = index_of(counter.window, counter.width, stamp)
		if index then
			add(counter.window, index, counter.cost)
		end
	end
	save(list)
	remember(math.max(stamp, 1))
	return answer(1, list)
end

if ARGV[6] == '1' then
	local ending, reason = in_force(by_hand.block)
	if ending then
		return { 5, now, ending > 0 and ending - now or -1, reason }
	end
end
if any_over(list) then
	return answer(0, list)
end
for _, counter in ipairs(list) do
	add(counter.window, 3, counter.cost)
end
save(list)
remember(math.max(now, 1))
return answer(1, list)
