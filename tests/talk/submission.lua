-- submission: who may send as whom, and what is signed
dofile(lib)

local conn = open("ORIGINATING")
for word, bit in pairs({ NODATA = SMFIP_NODATA, NOUNKNOWN = SMFIP_NOUNKNOWN, NR_HDR = SMFIP_NR_HDR,
    NR_BODY = SMFIP_NR_BODY, HDR_LEADSPC = SMFIP_HDR_LEADSPC }) do
	ok(mt.test_option(conn, bit), "negotiates " .. word)
end
for word, bit in pairs({ NOHELO = SMFIP_NOHELO, NR_CONN = SMFIP_NR_CONN, NR_EOH = SMFIP_NR_EOH, NOBODY = SMFIP_NOBODY }) do
	ok(not mt.test_option(conn, bit), "does not negotiate " .. word)
end
local function with(from, hfrom, login)
	return { login = login or "alice", from = from, header = header(hfrom) }
end

local seen = try(conn, with("<alice@example.org>", "alice@example.org"))
ok(seen == "eom continue", "own envelope and From pass", seen)
ok(mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature"), "and are signed")

seen = try(conn, with("<alice@example.org>", "Alice <ALICE+tag@Example.ORG>"))
ok(seen == "eom continue", "case and sub-address do not matter", seen)
seen = try(conn, with("<info@example.org>", "anyone@example.net"))
ok(seen == "eom continue", "owned address and owned domain pass", seen)
seen = try(conn, with("<bob@example.org>", "alice@example.org"))
ok(seen == "mail replycode", "a foreign envelope is refused at MAIL", seen)
seen = try(conn, with("<alice@example.org>", "bob@example.org"))
ok(seen == "eoh replycode", "a foreign From is refused at end of header", seen)
seen = try(conn, with("<alice@example.org>", "alice@example.org, bob@example.org"))
ok(seen == "eoh replycode", "a foreign mailbox beside an own one is refused", seen)
seen = try(conn, with("<alice@example.org>", "undisclosed:;"))
ok(seen == "eoh replycode", "a From without mailbox is refused", seen)
seen = try(conn, with("<alice@example.org>", "<alice@example.org> <bob@example.org>"))
ok(seen == "eoh replycode", "a From of two readings is refused", seen)
seen = try(conn, with("<>", "alice@example.org"))
ok(seen == "mail replycode", "the null sender from a login is refused where so configured", seen)
seen = try(conn, with("<alice@example.org>", "alice@example.org", "bob"))
ok(seen == "mail replycode", "another login on the same connection is another account", seen)

local two = with("<alice@example.org>", "alice@example.org")
table.insert(two.header, { "From", " bob@example.org" })
seen = try(conn, two)
ok(seen == "eoh replycode", "two From fields are refused", seen)
local none = { login = "alice", from = "<alice@example.org>", header = { { "Subject", " x" } } }
seen = try(conn, none)
ok(seen == "eoh replycode", "no From field is refused", seen)
local sender = with("<alice@example.org>", "alice@example.org")
table.insert(sender.header, { "Sender", " bob@example.org" })
seen = try(conn, sender)
ok(seen == "eoh replycode", "a foreign Sender is refused", seen)

local many = with("<alice@example.org>", "alice@example.org")
many.rcpt = { "<a@x.example>", "<a+tag@x.example>", "<A@X.example>", "<b@x.example>", "<c@x.example>" }
seen = try(conn, many)
ok(seen == "eom continue", "one recipient named thrice counts once", seen)
many.rcpt = { "<a@x.example>", "<b@x.example>", "<c@x.example>", "<d@x.example>" }
seen = try(conn, many)
ok(seen == "rcpt replycode", "more than max_recipients are refused", seen)

local forged = with("<alice@example.org>", "alice@example.org")
table.insert(forged.header, 1, { "Authentication-Results", " mx.example.org; dkim=pass" })
table.insert(forged.header, 2, { "Authentication-Results", " other.example; dkim=pass" })
table.insert(forged.header, 3, { "authentication-results", " MX.Example.org (x) 1; spf=pass" })
seen = try(conn, forged)
ok(seen == "eom continue", "a message with forged results passes", seen)
ok(mt.eom_check(conn, MT_HDRDELETE, "Authentication-Results"), "and loses them")

seen = try(conn, { from = "<alice@example.org>", header = header("alice@example.org") })
ok(seen == "mail replycode", "without login nothing is submitted", seen)
seen = try(conn, { auth_type = "PLAIN", from = "<alice@example.org>", header = header("alice@example.org") })
ok(seen == "mail replycode", "auth_type without auth_authen is a set-up mistake, told at MAIL", seen)
mt.disconnect(conn)

conn = open("unheard-of")
seen = try(conn, with("<alice@example.org>", "alice@example.org"))
ok(seen == "mail replycode", "a connection that matches no listener is deferred", seen)
try(conn, with("<alice@example.org>", "alice@example.org"))
local pipe = io.popen("grep -c 'no listener matches' " .. dir .. "/log")
local told = pipe:read("*l")
pipe:close()
ok(told == "1", "and told once", told)
mt.disconnect(conn)

conn = open("mx", "192.0.2.7")
seen = try(conn, with("<bob@example.org>", "bob@example.org"))
ok(seen == "mail replycode", "a login among strangers does not pass unchecked", seen)
seen = try(conn, { auth_type = "PLAIN", from = "<bob@example.org>", header = header("bob@example.org") })
ok(seen == "mail replycode", "nor one whose name the MTA keeps back", seen)
seen = try(conn, { from = "<bob@example.org>", header = header("bob@example.org") })
ok(seen == "eom continue", "a stranger without login passes", seen)
mt.disconnect(conn)

conn = open("ORIGINATING", "192.0.2.7")
seen = try(conn, with("<alice@example.org>", "alice@example.org"))
ok(seen == "mail replycode", "submission from outside without TLS is refused", seen)
mt.disconnect(conn)
finish()
