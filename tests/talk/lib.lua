-- lib.lua - what the conversations share: an MTA in a few words
--
-- A conversation is NAME.lua with NAME.conf beside it; run.sh starts the daemon and
-- gives us `port`. ok() prints a TAP line; what fails is told with what was seen.

count = 0
failures = 0

function ok(good, what, seen)
	count = count + 1
	if good then
		mt.echo("ok " .. count .. " - " .. what)
	else
		failures = failures + 1
		mt.echo("not ok " .. count .. " - " .. what)
		mt.echo("# seen: " .. tostring(seen))
	end
end

function finish()
	mt.echo("1.." .. count)
	if failures > 0 then
		error(failures .. " of " .. count .. " failed")
	end
end

-- The reply as a word.
function reply_word(conn)
	local words = {
		[SMFIR_CONTINUE] = "continue", [SMFIR_ACCEPT] = "accept", [SMFIR_REJECT] = "reject",
		[SMFIR_TEMPFAIL] = "tempfail", [SMFIR_REPLYCODE] = "replycode",
	}
	local reply = mt.getreply(conn)
	return words[reply] or ("reply " .. tostring(reply))
end

-- Open a session: daemon_name, client address.
function open(daemon, address)
	local conn = mt.connect("inet:" .. port .. "@127.0.0.1", 50, 0.1)
	if conn == nil then
		error("no connection to port " .. port)
	end
	-- all of protocol 6, as Postfix 3 and Sendmail 8.17 offer it
	mt.negotiate(conn, nil, nil, nil)
	mt.macro(conn, SMFIC_CONNECT, "{daemon_name}", daemon)
	mt.conninfo(conn, "client.example", address or "127.0.0.1")
	-- miltertest ends without a word where a step is sent that was negotiated away
	if not mt.test_option(conn, SMFIP_NOHELO) then
		mt.helo(conn, "client.example")
	end
	return conn
end

-- One message; returns the stage it ended at and the reply there.
--   m.login, m.from (with <>), m.rcpt (list), m.rcpt_addr (as the MTA reads it), m.header (list of {name, value}), m.body
function send(conn, m)
	mt.macro(conn, SMFIC_MAIL, "i", m.id or "T1")
	if m.login ~= nil then
		mt.macro(conn, SMFIC_MAIL, "i", m.id or "T1", "{auth_type}", "PLAIN", "{auth_authen}", m.login)
	end
	if m.auth_type ~= nil then
		mt.macro(conn, SMFIC_MAIL, "i", m.id or "T1", "{auth_type}", m.auth_type)
	end
	mt.mailfrom(conn, m.from)
	if reply_word(conn) ~= "continue" then return "mail", reply_word(conn) end
	for _, rcpt in ipairs(m.rcpt or { "<bob@elsewhere.example>" }) do
		if m.rcpt_addr ~= nil then
			mt.macro(conn, SMFIC_RCPT, "{rcpt_addr}", m.rcpt_addr)
		end
		mt.rcptto(conn, rcpt)
		if reply_word(conn) ~= "continue" then return "rcpt", reply_word(conn) end
	end
	for _, field in ipairs(m.header) do
		mt.header(conn, field[1], field[2])
	end
	mt.eoh(conn)
	if reply_word(conn) ~= "continue" then return "eoh", reply_word(conn) end
	mt.bodystring(conn, m.body or "Hello.\r\n")
	mt.eom(conn)
	return "eom", reply_word(conn)
end

-- The usual header with this From.
function header(from)
	return { { "From", " " .. from }, { "To", " bob@elsewhere.example" }, { "Subject", " hello" },
	    { "Date", " Mon, 02 Nov 2026 10:00:00 +0000" }, { "Message-ID", " <1@client.example>" } }
end

-- Send and say what came of it: "stage reply".
function try(conn, m)
	local stage, reply = send(conn, m)
	return stage .. " " .. reply
end
