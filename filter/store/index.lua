-- index.lua - what is kept of all accounts together: which are blocked
--
-- Everything about one account lives in the slot of its home (quota.lua). This list spans
-- accounts, so it has a slot of its own and is never part of a charge.
--
-- KEYS[1]	a hash: account -> cmsgpack {until, since, by, reason}, times in ms, until 0 for
--		no end; under "" the version, which changes with every change: "BORN NOW", the
--		times when the list began and when it was changed. It is there always, so that
--		one who knew it notices that Redis has lost it (FLUSHALL)
--
-- ARGV[1]	"block": account, for how long in ms (0: no end), by, reason, most accounts, since
--			-> 1, or 0 when there are so many already. since is the asking
--			filter's, in ms: all filters must know the block by one time.
--		"unblock": account -> how many were
--		"ping": nothing -> 1
--		"touch": limits or counts were changed by hand: a new version
--		"blocks": a version -> {version} when it is this one still, else
--			{version, account, until, since, by, reason, account, ...}

if redis.replicate_commands then
	redis.replicate_commands()
end

local op = ARGV[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- From the clock, so that a list that was lost and started again cannot be mistaken for the old one.
local function changed()
	local stamp = time[1] .. '.' .. time[2]
	local born = string.match(redis.call('HGET', KEYS[1], '') or stamp, '^%S+')
	redis.call('HSET', KEYS[1], '', born .. ' ' .. stamp)
	return born .. ' ' .. stamp
end

local function text(number)
	return string.format('%.0f', number)
end

if op == 'block' then
	local length = tonumber(ARGV[3])
	if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[6]) and
	    redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then
		return 0
	end
	redis.call('HSET', KEYS[1], ARGV[2], cmsgpack.pack({ length > 0 and now + length or 0,
	    tonumber(ARGV[7]) or now,
	    ARGV[4], ARGV[5] }))
	changed()
	return 1
end

if op == 'unblock' then
	local n = redis.call('HDEL', KEYS[1], ARGV[2])
	changed()
	return n
end

if op == 'ping' then
	return 1
end

if op == 'touch' then
	changed()
	return 1
end

if op == 'blocks' then
	local version = redis.call('HGET', KEYS[1], '') or changed()
	if version == ARGV[2] then
		return { version }
	end
	local reply, flat = { version }, redis.call('HGETALL', KEYS[1])
	for i = 1, #flat, 2 do
		local ok, block = pcall(cmsgpack.unpack, flat[i + 1])
		if flat[i] ~= '' and ok and type(block) == 'table' and block[4] then
			if block[1] > 0 and block[1] <= now then
				redis.call('HDEL', KEYS[1], flat[i])
			else
				local n = #reply
				reply[n + 1], reply[n + 2], reply[n + 3] = flat[i], text(block[1]), text(block[2])
				reply[n + 4], reply[n + 5] = block[3], block[4]
			end
		end
	end
	return reply
end

return redis.error_reply('ERR unknown operation')
