-- local and relay: mail without login
dofile(lib)

local conn = open("local")
local function message(from, hfrom, rcpt)
	return { from = from, rcpt = rcpt, header = header(hfrom) }
end
-- pickup gives paths without <>
local seen = try(conn, message("alice@example.org", "alice@example.org"))
ok(seen == "eom continue", "local mail from the envelope sender passes", seen)
ok(mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature"), "and is signed")
seen = try(conn, message("root", "Cron <root@example.org>"))
ok(seen == "eom continue", "a bare name is completed with the realm", seen)
seen = try(conn, message("amy", "amy"))
ok(seen == "eom continue" and mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature"), "in the header, too", seen)
seen = try(conn, message("dora@example.org", "other@example.org"))
ok(seen == "eom continue", "a foreign From in local mail is only watched", seen)
ok(not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature"), "and not signed")
seen = try(conn, message("", "mailer-daemon@example.org"))
ok(seen == "eom continue", "a null sender passes", seen)
ok(not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature"), "unsigned: nobody answers for it")
seen = try(conn, message("alice@example.org", "alice@example.org", { "a@x.example", "b@x.example" }))
ok(seen == "eom replycode", "over the limit: refused at the end, never at RCPT", seen)
mt.disconnect(conn)

-- an account that another listener has just found to be over: here it is refused for good, too
conn = open("users")
local function mine(rcpt)
	return { login = "fay", from = "<fay@example.org>", rcpt = rcpt, header = header("fay@example.org") }
end
seen = try(conn, mine({ "<a@x.example>", "<b@x.example>" }))
ok(seen == "eom continue", "a login uses up its limit", seen)
seen = try(conn, mine())
ok(seen == "mail tempfail" or seen == "mail replycode" or seen == "eom replycode", "and is deferred", seen)
mt.disconnect(conn)
conn = open("local")
seen = try(conn, message("fay@example.org", "fay@example.org"))
ok(seen == "mail replycode" or seen == "eom replycode", "its local mail is refused", seen)
mt.disconnect(conn)

conn = open("cron")
seen = try(conn, message("erin@example.org", "other@example.org"))
ok(seen == "eom replycode", "even a reject waits for the end of message", seen)
seen = try(conn, message("erin@example.org", "erin@example.org", { "a@x.example", "b@x.example" }))
ok(seen == "eom continue" and not mt.eom_check(conn, MT_QUARANTINE), "and what was refused was not charged", seen)
seen = try(conn, message("erin@example.org", "erin@example.org", { "c@x.example" }))
ok(seen == "eom continue" and mt.eom_check(conn, MT_QUARANTINE), "on_over quarantine", seen)
ok(mt.eom_check(conn, MT_QUARANTINE, "countersign over: this message exceeds the sending limit of erin@example.org (2 recipients per hour, 3 used)"),
    "whoever looks into the queue reads which rule held it", seen)
mt.disconnect(conn)

conn = open("lists", "192.0.2.9")
seen = try(conn, message("<list-bounces@example.net>", "member@elsewhere.example"))
ok(seen == "eom continue", "a relay may write as others where its listener says so", seen)
ok(not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature"), "but gets no signature for them")
seen = try(conn, message("<mailman@example.net>", "mailman@example.net"))
ok(seen == "eom continue" and mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature"), "its own name is signed", seen)
seen = try(conn, message("<x@example.net>", "x@example.net"))
ok(seen == "eom replycode", "and its account is charged", seen)
mt.disconnect(conn)
finish()
