-- theft: the sample plans stop stolen accounts by themselves, and block nobody who is honest
dofile(lib)

local BOUND = 60	-- recipients that a thief may reach
local TRIES = 400

-- message number i of a login to these recipients, from an address
local function mail(conn, login, i, rcpt, from, body)
	local head = header(from or login .. "@example.org")

	head[3] = { "Subject", " offer " .. i }
	return try(conn, { login = login, from = "<" .. (from or login .. "@example.org") .. ">",
	    rcpt = rcpt, header = head, body = body or login .. i .. "\r\n" })
end

-- n recipients that nobody wrote to before
local function fresh(login, i, n)
	local list = {}

	for k = 1, n do
		list[k] = "<" .. login .. i .. "-" .. k .. "@x" .. i .. ".example>"
	end
	return list
end

-- A thief goes on until all of its last tries are refused at MAIL; returns the recipients reached
local function steal(login, n, address, from)
	local conn = open("ORIGINATING", address(0))
	local reached, refused = 0, 0

	for i = 1, TRIES do
		if address(i) ~= address(i - 1) then
			mt.disconnect(conn)
			conn = open("ORIGINATING", address(i))
		end
		local seen = mail(conn, login, i, fresh(login, i, n), from)
		refused = seen == "mail replycode" and refused + 1 or 0
		if seen == "eom continue" then
			reached = reached + n
		end
	end
	-- a single try may be refused at MAIL for another reason; all at the end are not
	ok(from ~= nil or refused >= TRIES / 2, login .. " is stopped", refused)
	mt.echo("# " .. login .. " reached " .. reached .. ", refused at MAIL " .. refused .. " times")
	ok(reached <= BOUND, login .. " reaches " .. BOUND .. " recipients at most", reached)
	mt.disconnect(conn)
end

local function here() return "192.0.2.1" end
local function everywhere(i) return "198.51.100." .. (i % 50 + 1) end

-- the honest ones, before and after, from the address of the thieves
local function honest(conn, name, from, to)
	local bad = 0

	for i = from, to do
		if mail(conn, name, i, { "<friend" .. (i % 15) .. "@x.example>" }) ~= "eom continue" then
			bad = bad + 1
		end
	end
	return bad
end
local conn = open("ORIGINATING", here())
local bad = 0
for i = 1, 20 do
	bad = bad + honest(conn, "user" .. i, 1, 20)
end
ok(bad == 0, "twenty accounts send to people they know", bad)

ok(mail(conn, "club", 1, fresh("club", 1, 45)) == "eom continue", "a letter to 45 members passes")
for _ = 1, 60 do
	mail(conn, "club", 2, fresh("club", 2, 45))
end
ok(mail(conn, "club", 3, fresh("club", 1, 2)) == "eom continue",
    "another that is over the limit, and is tried again 60 times, blocks nobody")
for i = 1, 2 do
	mail(conn, "form", i, fresh("form", i, 20))
end
for i = 1, 60 do
	mail(conn, "form", i % 10 + 3, fresh("form", i % 10 + 3, 20))
end
for round = 1, 3 do
	for i = 1, 110 do
		local m = { login = "merge", from = "<merge@example.org>", rcpt = { "<m" .. i .. "@x.example>" },
		    header = header("merge@example.org") }
		m.header[3] = { "Subject", " Invoice 10" .. i }
		try(conn, m)
	end
end
ok(mail(conn, "merge", 0, { "<m1@x.example>" }) == "eom continue",
    "nor does a mail merge of 110 that is tried three times")
ok(mail(conn, "form", 0, { "<form1-1@x1.example>" }) == "eom continue",
    "nor do ten messages of one evening that wait for room")
mt.disconnect(conn)

steal("burst", 1, here)
steal("bundles", 20, here)
steal("huge", 51, here)
steal("spread", 1, everywhere)
steal("disguised", 1, here, "bank@victim.example")

conn = open("ORIGINATING", here())
for i = 1, 60 do
	mt.macro(conn, SMFIC_MAIL, "i", "T1", "{auth_type}", "PLAIN", "{auth_authen}", "o'list")
	mt.mailfrom(conn, "<o'list@example.org>")
	if reply_word(conn) ~= "continue" then break end
	mt.macro(conn, SMFIC_RCPT, "{rcpt_mailer}", "error", "{rcpt_host}", "5.1.1", "{rcpt_addr}", "unknown")
	mt.rcptto(conn, "<dead" .. i .. "@x.example>")
	ok(reply_word(conn) == "continue", "a dead address is the MTA's to refuse")
	mt.abort(conn)
end
ok(mail(conn, "o'list", 1, fresh("list", 1, 1)) == "mail replycode", "a list of dead addresses is stopped")

-- one text for everybody, to people that the account knows: no limit stops it
local function circular(login, first, last, n)
	local reached = 0

	for i = first, last do
		local list = {}
		for k = 1, n do
			list[k] = "<" .. login .. i .. "-" .. k .. "@x.example>"
		end
		if mail(conn, login, i, list, nil, "You have won.\r\n") == "eom continue" then
			reached = reached + n
		end
	end
	return reached
end
ok(circular("choir", 1, 1, 45) == 45, "one message to all members")
for _ = 1, 20 do
	circular("choir", 1, 1, 45)
end
ok(mail(conn, "choir", 2, { "<choir1-1@x.example>" }) == "eom continue", "which is tried again, is no sign")
ok(circular("phish", 1, 130, 1) == 130, "one body to each of 130 people")
ok(mail(conn, "phish", 0, { "<phish1-1@x.example>" }) == "eom continue", "may be a letter")
ok(circular("phish", 131, 160, 1) < 30, "to more of them it is a sign")
ok(mail(conn, "phish", 0, { "<phish1-1@x.example>" }) == "mail replycode", "that stops the account")

-- message number i of an account, whose report may come back
local function post(login, id)
	local head = header(login .. "@example.org")

	head[3] = { "Subject", " post " .. id }
	head[5] = { "Message-ID", " <" .. id .. "@client.example>" }
	return try(conn, { login = login, from = "<" .. login .. "@example.org>", rcpt = { "<friend1@x.example>" },
	    header = head, body = login .. id .. "\r\n" })
end

-- a delivery report to an address about the message of that id
local mx = open("INBOUND", "203.0.113.9")
local function report(to, id, action, from)
	local body = "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; there.example\r\n\r\n" ..
	    "Action: " .. (action or "failed") .. "\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n" ..
	    "From: someone\r\nMessage-ID: <" .. id .. "@client.example>\r\n\r\n--b--\r\n"
	return try(mx, { from = from or "<>", rcpt = { "<" .. to .. ">" }, body = body, header = {
	    { "From", " MAILER-DAEMON@there.example" }, { "Subject", " Undelivered" },
	    { "Content-Type", ' multipart/report; report-type=delivery-status;\n boundary="b"' } } })
end
for i = 1, 40 do
	post("dora", "dora" .. i)
	post("quiet", "quiet" .. i)
end
-- nobody is blocked by these: forged ones, the same again, reports of delay, and those with a sender
for i = 1, 60 do
	report("quiet@example.org", "guess" .. i)
	report("quiet@example.org", "dora" .. i)
	report("quiet@example.org", "quiet1")
	report("quiet@example.org", "quiet" .. i, "delayed")
	report("quiet@example.org", "quiet" .. i, "failed", "<friend@x.example>")
end
ok(post("quiet", "more") == "eom continue", "forged reports, repeated ones and delays block nobody")
for i = 1, 30 do
	ok(report("dora+x@example.org", "dora" .. i) == "eom continue", "a report is delivered")
end
ok(post("dora", "thirty") == "eom continue", "thirty messages that come back are not too many")
report("info@example.org", "dora31")
for _ = 1, 100 do
	if post("dora", "more") ~= "eom continue" then break end
end
ok(post("dora", "last") == "mail replycode", "one more, to an alias, is")
mt.disconnect(mx)

bad = 0
for i = 1, 20 do
	bad = bad + honest(conn, "user" .. i, 21, 30)
end
ok(bad == 0, "and the twenty accounts go on", bad)
mt.disconnect(conn)
finish()
