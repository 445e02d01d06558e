-- identity: login map, networks of an account, who may post where, what a name shows, sign_as
dofile(lib)

local function message(login, from, hfrom, rcpt)
	return { login = login, from = "<" .. from .. ">", rcpt = rcpt and { "<" .. rcpt .. ">" },
	    header = header(hfrom or from) }
end
local conn = open("ORIGINATING", "192.0.2.7")
local function case(what, m, expected, signed)
	local seen = try(conn, m)
	ok(seen == expected, what, seen)
	if signed ~= nil then
		local found = mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature")
		ok(found == signed, what .. (signed and ": signed" or ": not signed"), found)
	end
end

-- login map
case("a mapped login is its account", message("u1001", "alice@example.org"), "eom continue", true)
case("by its bare name or with the realm", message("u1002", "bob@example.org"), "eom continue")
case("and no other", message("u1002", "alice@example.org"), "mail replycode")
case("and not itself", message("u1001", "u1001@example.org"), "mail replycode")
case("an account that is nobody's login still is one", message("carol", "carol@example.org"), "eom continue")

-- networks
case("an account with a network, from elsewhere", message("dave", "dave@example.org"), "mail replycode")
case("a table's networks, from within", message("erin", "erin@example.org"), "eom continue")
case("a network that cannot be read defers", message("frank", "frank@example.org"), "mail replycode")
mt.disconnect(conn)
conn = open("ORIGINATING", "10.1.2.3")
case("from its network", message("dave", "dave@example.org"), "eom continue")
case("a table's networks, from elsewhere", message("erin", "erin@example.org"), "mail replycode")

mt.disconnect(conn)
conn = open("ORIGINATING", "::ffff:10.1.2.3")
case("from its network, the address mapped into IPv6", message("dave", "dave@example.org"), "eom continue")
mt.disconnect(conn)
conn = open("ORIGINATING", "::10.1.2.3")
case("an IPv6 address that only ends like it", message("dave", "dave@example.org"), "mail replycode")

-- who is logged in counts for one message
case("alice", message("alice", "alice@example.org"), "eom continue", true)
case("then bob as alice", message("bob", "alice@example.org"), "mail replycode")
case("then bob", message("bob", "bob@example.org"), "eom continue", true)
case("then nobody", message(nil, "bob@example.org"), "mail replycode")

-- From fields that only some readers see
for _, name in ipairs({ "From\11", "From\1", " From", "\239\187\191From", "FROM ", "From\r\n " }) do
	local hidden = message("alice", "alice@example.org")
	table.insert(hidden.header, 1, { name, " ceo@bank.example" })
	case("a second From named " .. string.format("%q", name):gsub("\r?\\?\n", " "), hidden, "eoh replycode")
end
local injected = message("alice", "alice@example.org")
table.insert(injected.header, 1, { "X-Note", " hello\rFrom: ceo@bank.example" })
case("a From behind a bare CR", injected, "eoh replycode")

-- restricted recipients
case("a moderator may post", message("alice", "alice@example.org", nil, "announce@example.org"), "eom continue")
case("another may not", message("bob", "bob@example.org", nil, "announce@example.org"), "rcpt replycode")
case("not with a tag either", message("bob", "bob@example.org", nil, "Announce+x@EXAMPLE.org"), "rcpt replycode")
for _, spelling in ipairs({ '"announce"@example.org', '"\\announce"@example.org', "announce@example.org.",
    "@relay.example:announce@example.org", "announce", "announce%example.org@example.org",
    "example.org!announce@example.org", '"announce@example.org"@example.org', "announce@[127.0.0.1]",
    "Announce+x%EXAMPLE.org@[IPv6:::1]", "example.org!announce%x.example@example.org" }) do
	case("nor as " .. spelling, message("bob", "bob@example.org", nil, spelling), "rcpt replycode")
	case("but the moderator as " .. spelling, message("alice", "alice@example.org", nil, spelling), "eom continue")
end
case("nor in a way that only the MTA can read", message("bob", "bob@example.org", nil, "announce(x)@example.org"), "rcpt replycode")
for _, spelling in ipairs({ "any+x%closed.example.org@example.org", "x+any%closed.example.org@example.org",
    "closed.example.org!any+x@example.org", '"any+x@closed.example.org"@example.org' }) do
	case("nor behind a delimiter: " .. spelling, message("bob", "bob@example.org", nil, spelling), "rcpt replycode")
end
local resolved = message("bob", "bob@example.org", nil, "announce(x)@example.org")
resolved.rcpt_addr = "announce@example.org"
case("whose reading counts", resolved, "rcpt replycode")
resolved.login, resolved.from, resolved.header = "alice", "<alice@example.org>", header("alice@example.org")
case("for the moderator too", resolved, "eom continue")
resolved = message("bob", "bob@example.org", nil, "other(x)@elsewhere.example")
resolved.rcpt_addr = "other@elsewhere.example"
case("and for others", resolved, "eom continue")
resolved = message("bob", "bob@example.org", nil, "alias@example.org")
resolved.rcpt_addr = "announce@example.org"
case("also where it is quite another", resolved, "rcpt replycode")
case("a whole domain", message("alice", "alice@example.org", nil, "any@closed.example.org"), "rcpt replycode")
case("which is free for one", message("carol", "carol@example.org", nil, "any@closed.example.org"), "eom continue")
local two = message("bob", "bob@example.org")
two.rcpt = { "<x@elsewhere.example>" }
case("other recipients are free", two, "eom continue")

-- display names
case("an own address in a name", message("alice", "alice@example.org", '"alice@example.org" <alice@example.org>'), "eom continue", true)
case("another's address in a name is only told", message("alice", "alice@example.org", '"ceo@bank.example" <alice@example.org>'), "eom continue", true)
case("a name written backwards is refused", message("alice", "alice@example.org", "=?utf-8?B?4oCuZWxwbWF4ZS5rbmFi?= <alice@example.org>"), "eoh replycode")
case("a name that looks like a mailbox is refused", message("alice", "alice@example.org", '"Bank <ceo@bank.example>" <alice@example.org>'), "eoh replycode")
case("and encoded like a list", message("alice", "alice@example.org", "=?utf-8?Q?ceo=40bank.example=2C?= <alice@example.org>"), "eoh replycode")
case("unless it is an own one", message("alice", "alice@example.org", '"Alice <alice@example.org>" <alice+x@example.org>'), "eom continue", true)

-- grants
case("* may write as anyone", message("app", "x@elsewhere.example"), "eom continue", false)
case("and is held to its limit all the same", message("app", "x@example.org"), "eom continue")
local three = message("app", "x@example.org")
three.rcpt = { "<a@x.example>", "<b@x.example>", "<c@x.example>" }
case("to the last recipient", three, "eom replycode")
mt.disconnect(conn)

conn = open("STRICT")
case("where names are judged: another's address", message("alice", "alice@example.org", '"Bank <ceo@bank.example>" <alice@example.org>'), "eoh replycode")
case("encoded", message("alice", "alice@example.org", "=?utf-8?Q?ceo=40bank.example?= <alice@example.org>"), "eoh replycode")
case("written backwards", message("alice", "alice@example.org", "=?utf-8?B?4oCuZWxwbWF4ZS5rbmFi?= <alice@example.org>"), "eoh replycode")
case("a plain name passes", message("alice", "alice@example.org", "Alice Example <alice@example.org>"), "eom continue", true)
case("a domain that is none of ours has its own action", message("alice", "alice@example.org", "x@bank.example"), "eoh replycode")
mt.disconnect(conn)

conn = open("lists", "192.0.2.9")
case("sign_as: its domain", message(nil, "list@example.net"), "eom continue", true)
case("sign_as: owned, but another domain", message(nil, "list@example.org"), "eom continue", false)
case("accepted though foreign", message(nil, "list@example.net", "member@elsewhere.example"), "eom continue", false)
mt.disconnect(conn)

-- the account of a client, by its network
conn = open("apps", "192.0.2.8")
case("a client's own account", message(nil, "shop@example.org"), "eom continue", true)
case("which owns nothing else", message(nil, "alice@example.org"), "mail replycode")
mt.disconnect(conn)
conn = open("apps", "198.51.100.1")
case("a client that no network holds has no account", message(nil, "shop@example.org"), "mail replycode")
mt.disconnect(conn)

conn = open("mx", "192.0.2.9")
case("strangers may not post either", message(nil, "alice@example.org", nil, "announce@example.org"), "rcpt replycode")
case("but to others", message(nil, "x@stranger.invalid", nil, "bob@example.org"), "eom continue")
mt.disconnect(conn)

conn = open("local")
case("from this host: at the end, never at RCPT", message(nil, "bob@example.org", nil, "announce@example.org"), "eom replycode")
case("and the moderator may", message(nil, "alice@example.org", nil, "announce@example.org"), "eom continue")
mt.disconnect(conn)
finish()
