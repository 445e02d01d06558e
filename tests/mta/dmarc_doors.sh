# shellcheck shell=bash
# shellcheck disable=SC2317 # called by name, through ok
#
# dmarc_doors.sh - DMARC at the door, the same behind Postfix and Sendmail: what the author's domain
# asks for, results that a message brings with it, and strangers under our own names
#
# The test sets friend, stranger and to, and has these functions: from_outside (as lab_inbound),
# delivered TO WORD (waits; sets LAB_FOUND), delivered_now TO WORD, held QUEUE-ID, let_go QUEUE-ID.

# results_have REGEX - does our Authentication-Results field of the delivered message match? There is one.
results_have() {
	[[ $(lab_fields "$LAB_FOUND" Authentication-Results | grep -c '^mx\.example\.org') == 1 ]] &&
	    lab_fields "$LAB_FOUND" Authentication-Results | grep -qE -e "^mx\.example\.org.*$1"
}

# signed FILE FROM TO SUBJECT - a message of friend.example, signed there
signed() {
	local file=$LAB_DIR/work/$1

	shift
	lab_message "$@" | lab_sign friend.example post "$LAB_DIR/friend-keys/friend.example/post.pem" >"$file"
	printf '%s' "$file"
}

# dmarc_doors - on_dmarc_fail is "policy", on_own_domain "reject"
dmarc_doors() {
	from_outside $friend out.friend.example joe@friend.example $to "$(signed plain joe@friend.example $to plain-mail)"
	ok "p=reject, signed and from where it should come: accepted" delivered $to plain-mail
	ok "with dmarc=pass" results_have 'dmarc=pass[^;]*header\.from=friend\.example'
	ok "and in the log" logged "$LAB_QUEUE_ID: .*action=accept .*dmarc=pass:friend\.example"
	from_outside $friend out.friend.example joe@friend.example $to \
	    "$(message spfonly joe@friend.example $to spfonly-mail 'Authentication-Results: mx.example.org; dmarc=fail header.from=friend.example')"
	ok "SPF alone does" delivered $to spfonly-mail
	ok "with our dmarc=pass alone, not what it brings with it" results_have 'dmarc=pass[^;]*header\.from=friend\.example'

	note_log
	from_outside $stranger mail.stranger.example x@elsewhere.example $to "$(message spoof joe@friend.example $to spoof-mail)"
	ok "p=reject, and somebody else: refused" answer . '550 5.7.1 *'
	ok "the answer names the domain and what it asks for" answer . '*DMARC*friend.example*reject*'
	ok "one line in the log" logged_once 'action=reject .*reason=dmarc-fail .*dmarc=fail:friend\.example\(reject\)'
	from_outside $stranger mail.stranger.example x@elsewhere.example $to \
	    "$(message claims joe@friend.example $to claims-mail 'Authentication-Results: mx.example.org; dmarc=pass header.from=friend.example')"
	ok "a result that it brings with it does not help" answer . '550 5.7.1 *'

	note_log
	from_outside $stranger mail.stranger.example x@elsewhere.example $to "$(message hold joe@hold.example $to held-mail)"
	ok "p=quarantine: accepted" accepted
	ok "into the hold queue" held "$LAB_QUEUE_ID"
	ok "with the reason" logged "$LAB_QUEUE_ID: .*action=quarantine .*reason=dmarc-quarantine .*dmarc=fail:hold\.example\(quarantine\)"
	ok "and not delivered" not delivered_now $to held-mail
	let_go "$LAB_QUEUE_ID"
	ok "until the postmaster lets it go" delivered $to held-mail
	ok "marked" results_have 'dmarc=fail[^;]*header\.from=hold\.example policy\.dmarc=quarantine'

	from_outside $stranger mail.stranger.example x@elsewhere.example bob@example.org \
	    "$(message boss alice@example.org bob@example.org boss-mail)"
	ok "a stranger who writes as alice is refused" answer . '550 5.7.1 *log in to send mail with this address*'
	from_outside $stranger mail.stranger.example alice@example.org bob@example.org \
	    "$(message path x@elsewhere.example bob@example.org path-mail)"
	ok "also with the address in MAIL FROM alone" answer '*' '550 5.7.1 *example.org*'
}
