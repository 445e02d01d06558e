-- quota.lua - charge, read or correct all counters of one message, as one step
--
-- The same rules as policy/quota/window.c and filter/store/embedded.c, for counts that
-- several filters share. Redis runs it whole or not at all, so a message is counted in
-- every window or in none. quick.lua stands before it and charges what is simple.
--
-- KEYS[1]	remembers the charge id: the stamp of the charge, or 0 when it is void; behind it what
--		the charge cost in each counter that is not a plain sum
-- KEYS[2]	a hash of what operators set for the account: "block" = "UNTIL REASON",
--		"max:FIELD" = "UNTIL LIMIT"; UNTIL in milliseconds, of a block 0 for no end;
--		"t:block", "t:max:FIELD", "t:max" (all limits) = "UNTIL STAMP": set last then.
--		For a domain, pool or network these fields are in the hash of its counts
-- KEYS[3..]	one hash a subject, the account's first; then the sorted sets of the recipients
--		that subjects wrote to, by time; all keys share one hash tag, save a client network's
-- KEYS[#KEYS]	if KEYS[3] is an account's: its windows, a string that quick.lua describes
--
-- ARGV[1]	the plan, as quick.lua describes it
-- ARGV[2]	the time in milliseconds, or "" for the store's clock (only tests give one)
-- ARGV[3]	"charge", "read", "merge", "void" or "reset"; "block", "unblock", "raise", "unraise";
--		"quick" or missing, and then all that follows, too: a charge that quick.lua may make
-- ARGV[4]	merge: how long ago the message was accepted, in milliseconds;
--		reset: the number of subjects;
--		block to unraise: when the operator did it, in milliseconds; 0: now,
--		whatever was changed when
-- ARGV[5]	the marks of the recipients, 8 octets each
-- ARGV[6]	8 octets for each counter of different things: the mark of that of the message, if its
--		cost is not 0
-- then for
--	block:	for how long in ms (0: no end), reason
--	raise:	for how long in ms, field, limit
--
-- The windows of other subjects are in the field "w" of their hash. Releases before quick.lua kept
-- each window in a field of its own, named by the limit ("r3600000.48"): cmsgpack {number of the
-- newest bucket, total, counts from the newest bucket to the oldest}. Such a window moves when it
-- is charged next. Different things (client addresses, countries and such) are in fields of that
-- kind, too: cmsgpack {mark, when seen last, ...}, the oldest first.
--
-- Answer: {state, now, then for each counter: used, wait, one, next, cost, then for each raised
-- limit: its counter (from 0), the limit in effect, for how long}; see struct quota_count.
-- state: 0 refused, 1 charged, 2 was charged before, 3 void, 4 read;
-- {5, now, for how long or -1, reason} refused, the account is blocked;
-- {6, now, n} n things that operators set were changed; {7, now, 0} none, there is a later change;
-- A string: charged, each counter with the cost that was asked, but none for new recipients; now in
-- digits, then the numbers of each counter's window, as quick.lua describes them.

-- A function, so that what follows takes neither time nor room in a run that quick.lua ends.
return (function()

local quick = not op or op == 'quick'
local op, said = quick and 'charge' or op, ARGV[4]
local byte, sub, rep = string.byte, string.sub, string.rep
local read, write = struct.unpack, struct.pack
local tools = make_tools()
local BUCKETS = 48		-- policy/quota/window.h
local MOST = 9007199254740991
local FRESH = 86400000		-- policy/quota/recent.h
local THINGS = 1		-- a kind of counter
local FEW = 16			-- windows of a key
local LIFE, MOST_KNOWN = 2592000000, 10000	-- policy/quota/recent.h

-- A window is {head, total, slot, slot, ...}: slot i at index i + 3, missing ones are 0.

-- What a field holds, or an empty table for nothing and for nonsense.
local function unpacked(value)
	if value then
		local ok, held = pcall(cmsgpack.unpack, value)
		if ok and type(held) == 'table' then
			return held
		end
	end
	return {}
end

-- A window as it is held: {head, total, newest, octets of each older count, older counts}.
local function packed(window)
	local last = #window
	while last > 3 and window[last] == 0 do
		last = last - 1
	end
	local wide = tools.octets_for(math.max(0, unpack(window, 4, last)))
	local older = write('<' .. rep('I' .. wide, last - 3), unpack(window, 4, last))
	return { window[1], window[2], window[3] or 0, wide, older }
end

-- A held window as of now. Time never runs back within a window; a head more than a window
-- ahead was stamped by a wrong clock, so it is put right.
local function turned(held, width)
	local bucket = math.floor(now / width)
	local ahead = held and bucket - held[1]
	if not held or held[2] == 0 or ahead > BUCKETS then
		return { bucket, 0, 0, 1, '' }
	end
	local head, total, newest, wide, older = unpack(held)
	if ahead > 0 then
		total, wide, older = tools.turn(ahead, total, newest, wide, older)
		newest = 0
	end
	if ahead > 0 or ahead < -BUCKETS then
		head = bucket
	end
	return { head, total, newest, wide, older }
end

-- The window of a counter with all its counts; from then on it stands for what is held.
local function window_of(counter)
	if not counter.window then
		local head, total, newest, wide, older = unpack(counter.held)
		local window = { head, total, newest,
		    read('<' .. rep('I' .. wide, #older / wide), older) }
		window[#window] = nil		-- where reading ended
		counter.window = window
	end
	return counter.window
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
	if age <= BUCKETS then
		return age + 3
	end
end

local function leaves_in(window, width, index)
	return (window[1] - (index - 3) + BUCKETS + 1) * width - now
end

-- Milliseconds until cost more would fit under most; 0 now, -1 never.
local function wait(window, width, most, cost)
	if cost == 0 then
		return 0
	end
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

-- Different things: a list of { mark, seen }, the oldest first.

local function older(a, b)
	if a[2] ~= b[2] then
		return a[2] < b[2]
	end
	return a[1] < b[1]
end

-- The things of the window as of now, and the time that holds: as for windows it stands still at
-- the newest, and a newest that is more than a window ahead was stamped by a wrong clock.
local function things_of(held, length)
	local list, newest, shift, time = {}, 0, 0, now
	for i = 1, #held, 2 do
		newest = math.max(newest, held[i + 1])
	end
	if newest - now > length then
		shift = now - newest
	elseif newest > now then
		time = newest
	end
	for i = 1, #held, 2 do
		if time - (held[i + 1] + shift) < length then
			list[#list + 1] = { held[i], held[i + 1] + shift }
		end
	end
	table.sort(list, older)
	return list, time
end

local function thing_index(list, mark)
	for i, thing in ipairs(list) do
		if thing[1] == mark then
			return i
		end
	end
end

local function see_thing(list, mark, seen, most)
	local i = thing_index(list, mark)
	if not i then
		list[#list + 1] = { mark, seen }
	elseif list[i][2] < seen then
		list[i][2] = seen
	end
	table.sort(list, older)
	while #list > math.max(most, 0) + 1 do
		table.remove(list, 1)
	end
end

local function packed_things(list)
	local flat = {}
	for _, thing in ipairs(list) do
		flat[#flat + 1] = thing[1]
		flat[#flat + 1] = thing[2]
	end
	return cmsgpack.pack(flat)
end

-- Recipients: how many of the message's are new, and remembering them.

local marks = {}
for i = 1, #(ARGV[5] or ''), 8 do
	marks[#marks + 1] = sub(ARGV[5], i, i + 7)
end

local new_in, seen_in = {}, {}

local function count_new(key)
	if new_in[key] then
		return new_in[key]
	end
	local n, seen = 0, {}
	for i, mark in ipairs(marks) do
		seen[i] = tonumber(redis.call('ZSCORE', key, mark) or nil)
		if not seen[i] or now - seen[i] >= LIFE then
			n = n + 1
		end
	end
	new_in[key], seen_in[key] = n, seen
	return n
end

local function remember_recipients(key, stamp)
	local changed = false
	for i, mark in ipairs(marks) do
		local seen = seen_in[key][i]
		if not seen or now - seen >= LIFE or seen < stamp - FRESH then
			if not seen or seen < stamp then
				redis.call('ZADD', key, string.format('%.0f', stamp), mark)
			end
			changed = true
		end
	end
	if changed then
		redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - LIFE))
		if redis.call('ZCARD', key) > MOST_KNOWN then
			redis.call('ZREMRANGEBYRANK', key, 0, -1 - MOST_KNOWN)
		end
		redis.call('PEXPIRE', key, string.format('%.0f', LIFE))
	end
end

-- What operators set: in a key of its own for an account, else with the counts.
local by_hand = {}

local function is_account(key)
	return string.find(key, '}:a:', 1, true) ~= nil
end

local WITH_COUNTS = not is_account(KEYS[3])
local HAND = WITH_COUNTS and KEYS[3] or KEYS[2]

local function is_by_hand(field)
	return string.sub(field, 1, 4) == 'max:' or string.sub(field, 1, 2) == 't:'
end

local function read_by_hand()
	local flat = redis.call('HGETALL', HAND)
	for i = 1, #flat, 2 do
		if not WITH_COUNTS or is_by_hand(flat[i]) then
			by_hand[flat[i]] = flat[i + 1]
		end
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

local function raised(value)
	local ending, most = in_force(value)
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
			redis.call('HDEL', HAND, field)
		elseif ending == 0 or last < 0 then
			last = -1
		else
			last = math.max(last, ending)
		end
	end
	if last < 0 then
		redis.call('PERSIST', HAND)
	elseif last > 0 and (not WITH_COUNTS or redis.call('PTTL', HAND) < last - now) then
		redis.call('PEXPIRE', HAND, string.format('%.0f', last - now))
	end
end

-- A change may arrive long after it was made, from a filter that could not reach us. Of two changes
-- of one thing the later one wins, so it is noted for STAMPS ms when each thing was changed last.
local STAMPS = 691200000
local stamp_by_hand = 0

local function is_late(what)
	local _, last = in_force(by_hand['t:' .. what])
	return last and said ~= '0' and tonumber(last) > stamp_by_hand
end

local function put_by_hand(field, ending, rest)
	by_hand[field] = string.format('%.0f %s', ending, rest)
	redis.call('HSET', HAND, field, by_hand[field])
end

local function stamp_change(what)
	put_by_hand('t:' .. what, now + STAMPS, string.format('%.0f', stamp_by_hand))
end

local function set_by_hand(field, length, rest)
	put_by_hand(field, length > 0 and now + length or 0, rest)
	stamp_change(field)
	tidy_by_hand()
	return { 6, now, 1 }
end

-- Forget all fields that begin so, but those that were set later.
local function unset_by_hand(what, start)
	local n = 0
	for field, value in pairs(by_hand) do
		if string.sub(field, 1, #start) == start and not is_late(field) then
			n = n + (in_force(value) and 1 or 0)
			redis.call('HDEL', HAND, field)
			by_hand[field] = nil
		end
	end
	stamp_change(what)
	tidy_by_hand()
	return { 6, now, n }
end

local function change_by_hand()
	local what = (op == 'raise' or op == 'unraise') and 'max' or 'block'
	local field = op == 'raise' and 'max:' .. ARGV[8] or what
	stamp_by_hand = tonumber(said)
	if stamp_by_hand == 0 then
		stamp_by_hand = now
	end
	if is_late(what) or is_late(field) then
		return { 7, now, 0 }
	elseif op == 'block' then
		return set_by_hand(field, tonumber(ARGV[7]), ARGV[8])
	elseif op == 'raise' then
		return set_by_hand(field, tonumber(ARGV[7]), ARGV[9])
	end
	return unset_by_hand(what, op == 'unraise' and 'max:' or 'block')
end

-- Forget the counts of a key; 1 if there were any.
local function reset(key)
	local flat, any = redis.call('HGETALL', key), 0
	if is_account(key) then
		any = redis.call('DEL', KEYS[#KEYS])
	end
	for i = 1, #flat, 2 do
		if not is_by_hand(flat[i]) then
			redis.call('HDEL', key, flat[i])
			any = 1
		end
	end
	return any
end

-- Counters, as the plan lists them.
local function asked_counters()
	local list, n, marked = {}, byte(plan) + 256 * byte(plan, 2), 1
	for i = 1, n do
		local width, most, cost, subject, rule, kind =
		    read('<dddBBB', plan, 6 * n + 27 * i - 23)
		local name = sub(plan, 6 * i - 2, 6 * i + 3)
		list[i] = {
			key = KEYS[subject + 2],
			name = name,
			field = sub(name, 1, 1) .. string.format('%.0f', (read('<I5', name, 2))) ..
			    (kind == THINGS and '' or '.' .. BUCKETS),
			width = width,
			most = most,
			cost = cost,
			one = read('<d', plan, 33 * n + 8 * i - 4),
			binding = rule % 2 == 1,
			level = rule > 1,
			kind = kind,
		}
		if kind == THINGS then
			list[i].mark = cost > 0 and sub(ARGV[6], marked, marked + 7)
			marked = marked + 8
		end
	end
	return list
end

-- All windows of a key: their order, and each by its name.
local function windows_in(value)
	local order, by_name = {}, {}
	local all = value and #value > 2 and byte(value) + 256 * byte(value, 2) or 0
	local wides, olders = tools.older_of(value or '', all)
	for i = 1, wides and all or 0 do
		local name = sub(value, 6 * i - 3, 6 * i + 2)
		local head, total, newest = read('<I5I7I7', value, 6 * all + 19 * i - 16)
		order[i], by_name[name] = name, { head, total, newest, wides[i], olders[i] }
	end
	return { order = order, by_name = by_name, moved = {} }
end

-- Take a window that is in a field of its own.
local function take_old_window(windows, counter, value)
	local held = unpacked(value)
	if type(held[1]) == 'number' and type(held[2]) == 'number' then
		windows.by_name[counter.name] = packed(held)
	end
	windows.moved[#windows.moved + 1] = counter.field
end

-- One counter as of now: held is what its key holds, beside what was set there.
local function fill(counter, held, beside)
	local width = counter.width
	local most, left = raised(beside or by_hand['max:' .. counter.field])
	counter.most, counter.raised = most or counter.most, left
	if counter.kind == THINGS then
		local list, time = things_of(held, width)
		local new = counter.mark and not thing_index(list, counter.mark)
		local last = list[#list]
		counter.things, counter.time, counter.dynamic = list, time, true
		counter.cost = new and 1 or 0
		counter.entered = not last or time - last[2] > width / BUCKETS
		counter.life = width + math.ceil(width / BUCKETS) * 2
		return
	end
	if counter.kind > THINGS then
		counter.known = KEYS[counter.kind]
		counter.cost, counter.dynamic = count_new(counter.known), true
	end
	counter.held = turned(held, width)
	counter.entered = not held or counter.held[1] ~= held[1]
	counter.life = width * (BUCKETS + 2)
end

-- Whether a counter is known without the fields of its key.
local function is_held(counter, windows)
	return counter.kind ~= THINGS and windows.by_name[counter.name]
end

-- What is in the hash of a key: the fields of the counters, and beside each what was set there.
local function fields_of(key, list)
	local fields = {}
	for i, counter in ipairs(list) do
		fields[2 * i - 1], fields[2 * i] = counter.field, 'max:' .. counter.field
	end
	fields[#fields + 1] = 'w'
	local values = redis.call('HMGET', key, unpack(fields))
	return values, values[#fields]
end

-- The counters of one key, as of now.
local function fill_all(key, list)
	local shared, values, held = not is_account(key), {}
	if shared then
		values, held = fields_of(key, list)
	else
		held = redis.call('GET', KEYS[#KEYS])
	end
	local windows = windows_in(held)
	for _, counter in ipairs(list) do
		if not shared and not is_held(counter, windows) then
			values = fields_of(key, list)
			break
		end
	end
	for i, counter in ipairs(list) do
		local value = values[2 * i - 1]
		if value and counter.kind ~= THINGS and not windows.by_name[counter.name] then
			take_old_window(windows, counter, value)
		end
		counter.windows = windows
		fill(counter, counter.kind == THINGS and unpacked(value) or
		    windows.by_name[counter.name], shared and (values[2 * i] or ''))
	end
end

-- Call what(key, counters) for each key of a list.
local function for_each_key(list, what)
	local from = 1
	while list[from] do
		local key, some = list[from].key, {}
		while list[from] and list[from].key == key do
			some[#some + 1] = list[from]
			from = from + 1
		end
		what(key, some)
	end
end

local function counters()
	local list = asked_counters()
	for_each_key(list, fill_all)
	return list
end

local function used_of(counter)
	return counter.things and #counter.things or (counter.window or counter.held)[2]
end

-- What a message must fit under, and what counts of it. Under a level it fits until that is exceeded.
local function bar_of(counter, cost)
	if counter.level then
		return counter.most + 1, 1
	end
	return counter.most, cost
end

local function any_over(list)
	for _, counter in ipairs(list) do
		local most, cost = bar_of(counter, counter.cost)
		if counter.binding and cost > 0 and
		    (cost > most or used_of(counter) > most - cost) then
			return true
		end
	end
	return false
end

-- Count the message in one counter as of a stamp; nil is now.
local function charge(counter, stamp)
	if counter.things then
		local seen = stamp or counter.time
		if counter.mark and counter.time - seen < counter.width then
			see_thing(counter.things, counter.mark, seen, counter.most)
		end
		return
	end
	if stamp then
		local index = index_of(window_of(counter), counter.width, stamp)
		if index then
			add(counter.window, index, counter.cost)
		end
	else
		local held = counter.held
		local amount = math.min(counter.cost, MOST - held[2])
		held[2], held[3] = held[2] + amount, held[3] + amount
	end
	if counter.known then
		remember_recipients(counter.known, stamp or now)
	end
end

-- Take back what a charge at stamp cost.
local function take_back(counter, stamp)
	if counter.things then
		local i = counter.cost > 0 and counter.mark and
		    thing_index(counter.things, counter.mark)
		if i and counter.things[i][2] <= stamp then
			table.remove(counter.things, i)
		end
		return
	end
	local window = window_of(counter)
	local index = index_of(window, counter.width, stamp)
	if index and window[index] then
		local amount = math.min(counter.cost, window[index])
		window[index] = window[index] - amount
		window[2] = window[2] - amount
	end
end

-- Whether all that a window counted has left it.
local function is_idle(name, held)
	local width = math.ceil(read('<I5', name, 2) / BUCKETS)
	return held[2] == 0 or math.floor(now / width) - held[1] > BUCKETS
end

-- The names of the windows to keep. A plan that quick.lua may charge has its windows in front,
-- others leave the order alone. Windows that the plan does not have stay: it may have them again.
-- Of many, those go that hold nothing as of now; not of few, for the clock may run back.
local function kept_windows(windows, asked)
	local order, placed, is_asked = {}, {}, {}
	local function place(name)
		if not placed[name] then
			order[#order + 1], placed[name] = name, true
		end
	end
	for _, name in ipairs(asked) do
		is_asked[name] = true
		if quick then
			place(name)
		end
	end
	for _, name in ipairs(windows.order) do
		if #windows.order <= FEW or is_asked[name] or
		    not is_idle(name, windows.by_name[name]) then
			place(name)
		end
	end
	for _, name in ipairs(asked) do
		place(name)
	end
	return order
end

-- The windows of a key with those of its counters, as one value; nothing if no counter has one.
local function packed_windows(windows, list)
	local asked, held, wides, olders = {}, {}, {}, {}
	for _, counter in ipairs(list) do
		if counter.held then
			windows.by_name[counter.name] = counter.window and packed(counter.window) or
			    counter.held
			asked[#asked + 1] = counter.name
		end
	end
	if not asked[1] then
		return
	end
	local order = kept_windows(windows, asked)
	for i, name in ipairs(order) do
		local one, c = windows.by_name[name], 3 * i
		held[c - 2], held[c - 1], held[c], wides[i], olders[i] = unpack(one)
	end
	return write('<H', #order) .. table.concat(order) ..
	    write('<' .. rep('I5I7I7', #order), unpack(held)) .. tools.ending_of(wides, olders)
end

-- Write the counters of one key back.
local function save_all(key, list)
	local windows, values, life = list[1].windows, {}, 0
	local value = packed_windows(windows, list)
	for _, counter in ipairs(list) do
		if counter.things then
			values[#values + 1] = counter.field
			values[#values + 1] = packed_things(counter.things)
		end
		if counter.entered and (counter.things or not is_account(key)) then
			life = math.max(life, counter.life)
		end
	end
	if value and is_account(key) then
		redis.call('SET', KEYS[#KEYS], value, 'PX', tools.life_of(value))
	elseif value then
		values[#values + 1] = 'w'
		values[#values + 1] = value
	end
	if values[1] then
		redis.call('HSET', key, unpack(values))
	end
	if windows.moved[1] then
		redis.call('HDEL', key, unpack(windows.moved))
	end
	tools.prolong(key, life)
end

local function save(list)
	for_each_key(list, save_all)
end

-- Milliseconds until cost more things would fit under most; 0 now, -1 never.
local function wait_things(counter, most, cost)
	local list = counter.things
	local excess = #list + cost - most
	if cost == 0 or excess <= 0 then
		return 0
	end
	if cost > most then
		return -1
	end
	return list[excess][2] + counter.width - now
end

local function wait_of(counter, asked)
	local most, cost = bar_of(counter, asked)
	if counter.things then
		return wait_things(counter, most, cost)
	end
	return wait(window_of(counter), counter.width, most, cost)
end

-- How long until cost and until the smallest message would fit, and until something leaves.
local function waits_of(counter)
	local out
	if counter.things then
		local first = counter.things[1]
		out = first and first[2] + counter.width - now or 0
	else
		out = next_out(window_of(counter), counter.width)
	end
	return wait_of(counter, counter.cost), wait_of(counter, counter.one), out
end

-- Only a refused or a read message wants to know how long to wait.
local function answer(state, list)
	local reply, waits = { state, now }, state == 0 or state == 4
	for _, counter in ipairs(list) do
		local n = #reply
		reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = used_of(counter), 0, 0, 0
		if waits then
			reply[n + 2], reply[n + 3], reply[n + 4] = waits_of(counter)
		end
		reply[n + 5] = counter.cost
	end
	for i, counter in ipairs(list) do
		if counter.raised then
			local n = #reply
			reply[n + 1], reply[n + 2], reply[n + 3] = i - 1, counter.most, counter.raised
		end
	end
	return reply
end

local function remember(stamp, list)
	local text = { string.format('%.0f', stamp) }
	for _, counter in ipairs(list) do
		if counter.dynamic then
			text[#text + 1] = string.format('%.0f', counter.cost)
		end
	end
	redis.call('SET', KEYS[1], table.concat(text, ' '), 'PX', ID_TTL)
end

-- The stamp that was remembered; the counters get the costs that were.
local function recall(known, list)
	local numbers = {}
	for number in string.gmatch(known or '0', '%d+') do
		numbers[#numbers + 1] = tonumber(number)
	end
	local next_cost = 2
	for _, counter in ipairs(list) do
		if counter.dynamic then
			counter.cost = numbers[next_cost] or 0
			next_cost = next_cost + 1
		end
	end
	return numbers[1] or 0
end

if op == 'reset' then
	local n = 0
	for i = 3, 2 + said do
		n = n + reset(KEYS[i])
	end
	return { 6, now, n }
end

read_by_hand()

if op == 'block' or op == 'unblock' or op == 'raise' or op == 'unraise' then
	return change_by_hand()
end

local list = counters()

if op == 'read' then
	return answer(4, list)
end

-- A call whose answer was lost may have been executed, or may be executed later.
local known = redis.call('GET', KEYS[1])

if op == 'void' then
	local stamp = recall(known, list)
	if stamp > 0 then
		for _, counter in ipairs(list) do
			take_back(counter, stamp)
		end
		save(list)
	end
	remember(0, {})
	return answer(3, list)
end

if known then
	local stamp = recall(known, list)
	return answer(stamp == 0 and 3 or 2, list)
end

if op == 'merge' then
	local stamp = now - tonumber(said)
	for _, counter in ipairs(list) do
		charge(counter, stamp < now and stamp or nil)
	end
	save(list)
	remember(math.max(stamp, 1), list)
	return answer(1, list)
end

if byte(plan, 3) == 1 then
	local ending, reason = in_force(by_hand.block)
	if ending then
		return { 5, now, ending > 0 and ending - now or -1, reason }
	end
end
if any_over(list) then
	return answer(0, list)
end
for _, counter in ipairs(list) do
	charge(counter)
end
save(list)
remember(math.max(now, 1), list)
return answer(1, list)

end)()
