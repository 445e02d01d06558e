-- plans: who has which plan; domains, pools, networks; the units that know more; caps; block_on
dofile(lib)

local conn = open("ORIGINATING")
local function mail(login, rcpt, body, from)
	from = from or (login:match("@") and login or login .. "@example.org")
	return { login = login, from = "<" .. from .. ">", rcpt = rcpt, body = body, header = header(from) }
end
local function expect(want, what, ...)
	local seen = try(conn, mail(...))
	ok(seen == want, what, seen)
end
local PASS, OVER, KNOWN = "eom continue", "eom replycode", "mail replycode"

expect(PASS, "default_plan: one", "anna")
expect(OVER, "and no more", "anna")
expect(PASS, "the account's own plan: two", "own")
expect(PASS, "two", "own")
expect(OVER, "and no more", "own")
expect(PASS, "plan_of by login: two", "tabby")
expect(PASS, "two", "tabby")
expect(OVER, "and no more", "tabby")
expect(KNOWN, "a plan that nobody wrote is a failed look-up", "lost")

expect(PASS, "a domain's plan, though its accounts are free", "a@corp.example")
expect(PASS, "second of the domain", "b@corp.example")
expect(PASS, "third of the domain", "a@corp.example")
expect(OVER, "the domain is full for all", "b@corp.example")
expect("rcpt replycode", "max_recipients of the domain's plan", "c@corp.example",
    { "<a@x.example>", "<b@x.example>", "<c@x.example>" })
expect("rcpt replycode", "which are not one for what is before a delimiter", "c@corp.example",
    { "<v+a%x.example@example.org>", "<v+b%y.example@example.org>", "<v+c%z.example@example.org>" })

expect(PASS, "a pool: two recipients", "p1@pool.example", { "<a@x.example>", "<b@x.example>" })
expect(PASS, "the third by another account", "p2@pool.example")
expect(OVER, "the pool is full", "p1@pool.example")
expect(PASS, "pool_plan_of gives one pool a plan of its own", "p3@example.org")
expect(OVER, "which is small", "p3@example.org")

expect(PASS, "one of our own and two others", "ext", { "<own@example.org>", "<a@x.example>", "<b@x.example>" })
expect(PASS, "to our own people always", "ext", { "<own@example.org>", "<own2@example.org>" })
expect(OVER, "but no other", "ext", { "<own@example.org>", "<c@x.example>" })
expect(PASS, "and the account is not remembered as over", "ext", { "<own@example.org>" })

local function evade(want, what, rcpt, rcpt_addr)
	local m = mail("ext", { rcpt })
	m.rcpt_addr = rcpt_addr
	local seen = try(conn, m)
	ok(seen == want, what, seen)
end
for _, rcpt in ipairs({ "<v%x.example>", "<x.example!v>", "<v%x.example@example.org>", "<\"v@x.example\"@example.org>" }) do
	evade(OVER, "external as the MTA reads it: " .. rcpt, rcpt, "v@x.example")
end
for _, rcpt in ipairs({ "<v%x.example>", "<x.example!v>", "<v%x.example@example.org>", "<\"v@x.example\"@example.org>",
    "<v+x%x.example@example.org>", "<x+v%x.example@example.org>", "<x.example!v+x@example.org>",
    "<x+x.example!v@example.org>", "<\"v+x@x.example\"@example.org>", "<v+x%x.example>",
    "<v%x.example%@example.org>", "<v%x.example%%@example.org>", "<\"v%x.example \"@example.org>",
    "<v%x.example%example.org@example.org>", "<" .. string.rep("a%", 40) .. "example.org@example.org>" }) do
	expect(OVER, "external, though the MTA does not say: " .. rcpt, "ext", { rcpt })
end
expect(PASS, "our own with a sub-address", "ext", { "<own+x@example.org>", "<own+x%example.org@example.org>" })
evade(PASS, "our own in a spelling that the MTA reads", "<own%example.org@example.org>", "own@example.org")
evade(PASS, "our own without domain", "<own@example.org>", "own")

expect(PASS, "two new recipients", "fresh", { "<a@x.example>", "<b@x.example>" })
expect(PASS, "the same again, one with a sub-address", "fresh", { "<A@x.example>", "<b+x@x.example>" })
expect(OVER, "a third one is too many", "fresh", { "<a@x.example>", "<c@x.example>" })
expect(OVER, "nor one whose sub-address is a route", "fresh", { "<b+x%c.example@x.example>" })
expect(PASS, "the known ones are welcome", "fresh", { "<b@x.example>" })
local known = mail("fresh", { "<b%x.example>", "<x.example!b>" })
known.rcpt_addr = "b@x.example"
ok(try(conn, known) == PASS, "a known one in other spellings is no new one")
known = mail("fresh", { "<b@x.example>" })
known.rcpt_addr = "new@x.example"
ok(try(conn, known) == OVER, "a new one in the spelling of a known one is a new one")

expect(PASS, "size within max_size", "large", nil, string.rep(string.rep("x", 70) .. "\r\n", 5))
expect(OVER, "more than max_size", "large", nil, string.rep(string.rep("x", 70) .. "\r\n", 40))

expect(KNOWN, "a foreign sender is refused", "thief", nil, nil, "own@example.org")
expect(KNOWN, "twice", "thief", nil, nil, "own@example.org")
expect(PASS, "two are not too many", "thief")
expect(KNOWN, "a third one", "thief", nil, nil, "own@example.org")
expect(KNOWN, "and the account is blocked, whatever it sends", "thief")

expect(PASS, "two new recipients", "burst", { "<a@x.example>", "<b@x.example>" })
for _ = 1, 4 do
	expect(OVER, "a third, and the client tries again", "burst", { "<c@x.example>" })
end
expect(PASS, "which is one refusal", "burst", { "<a@x.example>" })
expect(OVER, "another message", "burst", { "<d@x.example>" })
expect(PASS, "two are not too many", "burst", { "<a@x.example>" })
expect(OVER, "a third message over the limit", "burst", { "<e@x.example>" })
expect(KNOWN, "blocks the account", "burst", { "<a@x.example>" })

for _, name in ipairs({ "held", "slowed" }) do
	expect(PASS, "two new recipients", name, { "<a@x.example>", "<b@x.example>" })
	expect(OVER, "a message over the limit", name, { "<c@x.example>" })
	expect(OVER, "a second one blocks " .. name, name, { "<d@x.example>" })
end
expect(PASS, "mail of an account that is held passes to the queue", "held", { "<a@x.example>" })
expect(PASS, "also if it is over its limits", "held", { "<e@x.example>", "<f@x.example>" })
expect(PASS, "an account that is slowed down sends one message", "slowed", { "<a@x.example>" })
expect(KNOWN, "and no second one", "slowed", { "<a@x.example>" })
mt.disconnect(conn)

for place = 1, 3 do
	conn = open("ORIGINATING", "203.0.113." .. place)
	expect(PASS, "client address " .. place .. " of 2", "roaming")
	expect(place < 3 and PASS or KNOWN, place < 3 and "and again" or "is one too many", "roaming")
	mt.disconnect(conn)
end

for place = 1, 3 do
	conn = open("ORIGINATING", "198.51.100." .. place)
	expect(place < 3 and PASS or OVER, "client address " .. place .. " of 2", "moving")
	mt.disconnect(conn)
end
conn = open("ORIGINATING", "198.51.100.1")
expect(PASS, "the first is still one of the two", "moving")
mt.disconnect(conn)
conn = open("ORIGINATING", "::ffff:198.51.100.1")
expect(PASS, "and so it is in IPv6 form", "moving")
mt.disconnect(conn)

conn = open("ORIGINATING", "192.0.2.7")
expect(PASS, "a client network: one", "n1@net.example")
mt.disconnect(conn)
conn = open("ORIGINATING", "192.0.2.8")
expect(PASS, "two, from another address of it", "n2@net.example")
expect(OVER, "the network is full, whoever sends", "n3@net.example")
mt.disconnect(conn)
conn = open("ORIGINATING", "::ffff:192.0.2.9")
expect(OVER, "nor from an IPv4 address in IPv6 form", "n4@net.example")
mt.disconnect(conn)
conn = open("ORIGINATING", "198.51.100.9")
expect(PASS, "elsewhere it is not", "n1@net.example")
mt.disconnect(conn)

local function run(words)
	local pipe = io.popen(os.getenv("COUNTERSIGNCTL") .. " -s " .. dir .. "/control " .. words .. " 2>&1")
	local text = pipe:read("*a")
	pipe:close()
	return text
end
local text = run("quota show tabby")
ok(text:match("plan     two, from plan_of"), "quota show says where the plan is from", text)
text = run("quota show p1@pool.example")
ok(text:match("home     pool acme") and text:match("3 recipients per hour +3 of 3 .* of pool acme"),
    "and whose limits and whose home they are", text)
text = run("quota reset p1@pool.example")
text = run("quota show p1@pool.example")
ok(text:match("3 recipients per hour +3 of 3 "), "a reset of one account leaves the pool its counts", text)
text = run("plan of p1@pool.example")
ok(text:match("plan     free, from plan_of\n  limit +unlimited\n") and text:match("domain   pool.example\nplan     none\n"),
    "plan of shows the account's plan and its domain", text)
ok(text:match("pool     acme\nplan     customer, from pool_plan\n  limit +3 recipients per hour\n  on_over +reject\n"),
    "and its pool with the plan of that", text)
local note = "note: nothing is counted for (%S+) now, and no plan is given to it by name: check the spelling"
for _, owner in ipairs({ "pool:nosuch", "network:nosuch", "x@nosuch.example" }) do
	text = run("quota show " .. owner)
	ok(text:match(note) == owner, "quota show has a note for what nobody knows: " .. owner, text)
end
text = run("quota set POOL:nosuch '9 recipients per hour' --for 1w")
ok(text:match("^for 7 days the limit of pool nosuch is 9 recipients per hour\n" .. note), "so has quota set", text)
for _, owner in ipairs({ "192.0.2.7", "'[192.0.2.7]'", "192.0.2.0/24", "::ffff:192.0.2.7" }) do
	text = run("quota show Network:" .. owner)
	ok(text:match("^network  office\n") and not text:match("note:"), "a network by " .. owner, text)
end
text = run("block own+x")
ok(text:match("note: own%+x@example.org is another account than own@example.org"), "block of a sub-address says so", text)
text = run("quota show own")
ok(not text:match("note:") and not text:match("BLOCKED"), "and blocks no other", text)
text = run("quota show lost")
ok(text:match("plan of lost@example.org cannot be determined"), "a plan that cannot be found out is told", text)
finish()
