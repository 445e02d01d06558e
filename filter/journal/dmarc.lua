-- dmarc.lua - add to what the aggregate reports of a day will say
--
-- KEYS[1]	hash of the day: domain -> its record
-- KEYS[2]	hash of the day: "m:" and a domain -> messages, "b:" and a domain -> those beyond its
--		rows, "rows" -> rows of all domains
-- ARGV[1]	seconds until the day is forgotten
-- ARGV[2]	domains a day at most
-- ARGV[3]	rows a day at most
-- ARGV[4]	rows of a domain at most
-- then for each row: KEYS[2 + i], the hash of its domain: row -> messages; and in ARGV: domain, record,
-- row, messages
-- -> how many messages went nowhere

local beyond, at = 0, 5

for i = 3, #KEYS do
	local domain, record, row, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
	local known = redis.call('HEXISTS', KEYS[1], domain) == 1
	local fits = redis.call('HEXISTS', KEYS[i], row) == 1

	at = at + 4
	if not fits and redis.call('HLEN', KEYS[i]) < tonumber(ARGV[4]) and
	    tonumber(redis.call('HGET', KEYS[2], 'rows') or '0') < tonumber(ARGV[3]) and
	    (known or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[2])) then
		redis.call('HINCRBY', KEYS[2], 'rows', 1)
		fits = true
	end
	if fits then
		redis.call('HINCRBY', KEYS[i], row, n)
		redis.call('EXPIRE', KEYS[i], ARGV[1])
	else
		beyond = beyond + n
	end
	if fits or known then
		redis.call('HSET', KEYS[1], domain, record)
		redis.call('HINCRBY', KEYS[2], 'm:' .. domain, n)
		if not fits then
			redis.call('HINCRBY', KEYS[2], 'b:' .. domain, n)
		end
	end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return beyond
