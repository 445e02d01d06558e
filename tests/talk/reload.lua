-- reload: HUP swaps a good configuration, keeps the old one where the new one is bad, tells why
dofile(lib)

local function write(name, text)
	local file = assert(io.open(dir .. "/" .. name, "w"))
	file:write(text)
	file:close()
end
local function read(name)
	local file = assert(io.open(dir .. "/" .. name))
	local text = file:read("*a")
	file:close()
	return text
end
local function hup()
	os.execute("kill -HUP " .. pid)
	mt.sleep(0.5)
end
local function message(from)
	return { login = "alice", from = from, header = header(from:gsub("[<>]", "")) }
end
local good = read("conf")

-- one connection stays open throughout: it must see each new configuration at its next MAIL
local conn = open("ORIGINATING")
local seen = try(conn, message("<shared@example.org>"))
ok(seen == "eom continue", "the owners table lists alice", seen)
seen = try(conn, message("<alice@example.org>"))
ok(seen == "mail replycode", "with a table, it alone says what a login owns", seen)

write("owners", "# moved to bob\nshared@example.org bob\n@example.org\tcarol,\n  alice@example.org dave\n")
hup()
seen = try(conn, message("<shared@example.org>"))
ok(seen == "mail replycode", "after HUP the connection sees the new table", seen)
seen = try(conn, message("<any@example.org>"))
ok(seen == "eom continue", "@domain and a continued line count", seen)

write("conf", good:gsub('role = "submission"', 'rolle = "submission"'))
hup()
seen = try(conn, message("<any@example.org>"))
ok(seen == "eom continue", "a bad configuration changes nothing", seen)
write("conf", good)
write("owners", "shared@example.org\n")
hup()
seen = try(conn, message("<any@example.org>"))
ok(seen == "eom continue", "nor does a bad table", seen)

local pipe = io.popen(os.getenv("COUNTERSIGNCTL") .. " -s " .. dir .. "/control reload 2>&1")
local text = pipe:read("*a")
pipe:close()
ok(text:match("owners:1: .*has no value"), "countersignctl reload tells the mistake", text)

write("owners", "shared@example.org alice\n")
for _ = 1, 200 do os.execute("kill -HUP " .. pid) end
mt.sleep(1)
seen = try(conn, message("<shared@example.org>"))
ok(seen == "eom continue", "a burst of HUP does not stop the daemon", seen)

-- a message in flight over a reload keeps the rules it began with
mt.macro(conn, SMFIC_MAIL, "i", "T2", "{auth_type}", "PLAIN", "{auth_authen}", "alice")
mt.mailfrom(conn, "<shared@example.org>")
write("owners", "shared@example.org bob\n")
hup()
mt.rcptto(conn, "<x@elsewhere.example>")
mt.header(conn, "From", " shared@example.org")
mt.eoh(conn)
ok(reply_word(conn) == "continue", "a message in flight keeps the table it began with", reply_word(conn))
mt.eom(conn)
ok(reply_word(conn) == "continue", "to its end", reply_word(conn))
mt.disconnect(conn)
finish()
