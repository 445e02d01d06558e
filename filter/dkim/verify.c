/*
 * verify.c - verify the signatures of one message, body streamed
 *
 * In three steps. At end of header each DKIM-Signature is read strictly (signature.h); what is
 * malformed, too weak or out of bounds has its result at once and is never shown to libopendkim. Of
 * the others as many as the limit allows are chosen, those aligned with the author first, and the
 * library gets them with the fields they name, and no others; one that it could not read it gets as
 * a stand-in (stand_in.h). Then the body streams. At the end the library asks for each key
 * (verify_key), and its findings are put into words.
 *
 * Key records are read here, too: of several at one name the one whose k= fits the
 * signature is taken, and the library gets a new one, with the tags it needs.
 * It forgets why a key query failed, so that is kept with the signature: a
 * failure to fetch a key is temperror, never "no signature".
 *
 * Cost is bounded by numbers in dkim.h: signatures looked at, names in h=, the
 * product of names and fields (the library searches the whole header for each name), octets
 * of a body line. What exceeds one has the result "policy", with the reason.
 *
 * Threads: see verify.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/dkim/public_key.h"
#include "filter/dkim/signature.h"
#include "filter/dkim/stand_in.h"
#include "filter/dkim/verify.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dkim/canon.h"

#define RECORDS_MAX	8	/* key records at one name that are looked at */

/* Counts the canonical octets of a body, RFC 6376 section 3.4.3 and 3.4.4. */
struct body_count {
	bool relaxed;
	bool cr;		/* the last octet was CR */
	bool white;		/* white space before, not yet counted */
	int64_t line;		/* octets of the line so far */
	int64_t blank;		/* empty lines since the last other line */
	int64_t total;		/* octets up to the last line that is not empty */
};

struct dkim_verification {
	struct dkim_asker asker;	/* first: the library hands it back */
	struct dkim_service *service;
	struct dkim_lib_ref *lib;
	DKIM *dkim;		/* NULL: nothing to verify */
	void *memory;		/* the library's */
	struct check **checks;
	size_t n;
	bool several_from;	/* the header has more than one From field */
	size_t not_reported;	/* signatures beyond DKIM_FACTS_MAX */
	struct dkim_body_watch watch;
	bool counting;		/* some signature has l= */
	struct body_count simple, relaxed;
	int64_t deadline_ms;	/* for keys; set at the end */
};

/* --- results ----------------------------------------------------------- */

/* settle_all - the same result for all that have none */
static void
settle_all(struct dkim_verification *v, enum dkim_result result, const char *problem)
{
	for (size_t i = 0; i < v->n; i++)
		signature_settle(v->checks[i], result, problem);
}

/* --- reading the signatures --------------------------------------------- */

/* read_signatures - all of the header */
static void
read_signatures(struct dkim_verification *v, const struct header_list *list)
{
	v->checks = mem_array(v, struct check *, DKIM_FACTS_MAX);
	for (size_t i = 0; i < list->n; i++) {
		if (!header_is(&list->fields[i], SIGNATURE_FIELD))
			continue;
		if (v->n == DKIM_FACTS_MAX) {
			v->not_reported++;
			continue;
		}

		struct check *check = mem_new(v, struct check);

		check->field = i;
		signature_read(v, check, &list->fields[i], dkim_service_ed25519(v->service));
		v->checks[v->n++] = check;
	}
}

/* --- choosing what the library gets ------------------------------------ */

/* compare_spans - for qsort and bsearch, letters folded */
static int
compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	size_t shorter = x->len < y->len ? x->len : y->len;
	int order = strncasecmp(x->at, y->at, shorter);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* mark_fields - which fields some open signature names; returns how many */
static size_t
mark_fields(struct dkim_verification *v, const struct header_list *list, bool *marks)
{
	size_t n = 0, room = 1, marked = 0;

	for (size_t i = 0; i < v->n; i++)
		room += v->checks[i]->open ? v->checks[i]->n_names + 1 : 0;

	struct span *names = mem_array(v, struct span, room);

	for (size_t i = 0; i < v->n; i++) {
		struct span rest = v->checks[i]->names;

		while (v->checks[i]->open && canon_next_name(&rest, &names[n]))
			n++;
	}
	qsort(names, n, sizeof(*names), compare_spans);
	for (size_t i = 0; i < list->n; i++) {
		struct span name =
		    text_trim(text_span_of(list->fields[i].name, list->fields[i].name_len));

		marks[i] = bsearch(&name, names, n, sizeof(*names), compare_spans) != NULL &&
		    !text_equal_fold(name, text_span(SIGNATURE_FIELD));
		marked += marks[i];
	}
	talloc_free(names);
	return marked;
}

/* verify_is_aligned - is the signature the author's domain's, or one's above it? */
static bool
verify_is_aligned(const struct check *check, const char *author)
{
	return author != NULL && domain_is_or_below(author, check->fact.sdid);
}

/* verify_choose - settle the open signatures that exceed a limit, aligned ones last */
static void
verify_choose(struct dkim_verification *v, size_t fields, const char *author)
{
	size_t chosen = 0, work = 0, max = dkim_service_options(v->service)->max_signatures;

	for (int want = 1; want >= 0; want--) {
		for (size_t i = 0; i < v->n; i++) {
			struct check *check = v->checks[i];

			if (!check->open || verify_is_aligned(check, author) != (want == 1))
				continue;
			if (chosen == max) {
				signature_settle(check, DKIM_IS_POLICY, "there are too many signatures");
				continue;
			}
			if (check->n_names * (fields + max) > DKIM_WORK_MAX - work) {
				signature_settle(check, DKIM_IS_POLICY, "to verify it would take too long");
				continue;
			}
			work += check->n_names * (fields + max);
			chosen++;
		}
	}
}

/* replace_unreadable - stand-ins for the open signatures that the library cannot hash */
static void
replace_unreadable(struct dkim_verification *v, const struct header_list *list)
{
	for (size_t i = 0; i < v->n; i++) {
		struct check *check = v->checks[i];

		if (!check->open || (!check->signs_signatures && !stand_in_needed(&check->tags)))
			continue;
		if (!dkim_service_ed25519(v->service)) {
			signature_settle(check, DKIM_IS_NEUTRAL, "libopendkim cannot read the signature");
			continue;
		}
		check->stand_in = stand_in_new(v, &(struct stand_in_of){ .list = list,
		    .field = check->field,
		    .tags = &check->tags,
		    .names = check->names,
		    .sdid = check->fact.sdid,
		    .auid = check->fact.auid,
		    .ed25519 = check->ed25519,
		    .relaxed_header = check->relaxed_header });
		if (check->stand_in == NULL)
			signature_settle(check, DKIM_IS_TEMPERROR, "libcrypto cannot make a key");
	}
}

/* --- feeding the library ----------------------------------------------- */

/* verify_feed_header - the marked fields and the open signatures; false if the library fails */
static bool
verify_feed_header(struct dkim_verification *v, const struct header_list *list, const bool *marks)
{
	size_t next = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct check *check = NULL;

		while (next < v->n && v->checks[next]->field < i)
			next++;
		if (next < v->n && v->checks[next]->field == i && v->checks[next]->open)
			check = v->checks[next];
		if (check == NULL && !marks[i])
			continue;

		const struct header_field *field = check != NULL && check->stand_in != NULL ?
		    stand_in_field(check->stand_in) : &list->fields[i];
		DKIM_STAT status = dkim_feed_field(v->dkim, v, field);

		if (check != NULL && status == DKIM_STAT_SYNTAX)
			signature_settle(check, DKIM_IS_NEUTRAL, "the signature cannot be read");
		else if (status != DKIM_STAT_OK && status != DKIM_STAT_SYNTAX)
			return false;
		if (check != NULL)
			check->fed = true;
	}
	return dkim_eoh(v->dkim) == DKIM_STAT_OK;
}

/* match_signatures - find the library's object for each signature that was fed */
static bool
match_signatures(struct dkim_verification *v)
{
	DKIM_SIGINFO **sigs = NULL;
	int n = 0;
	size_t next = 0;

	if (dkim_getsiglist(v->dkim, &sigs, &n) != DKIM_STAT_OK || n < 0)
		return false;
	for (size_t i = 0; i < v->n; i++) {
		if (!v->checks[i]->fed)
			continue;
		if (next == (size_t)n)
			return false;
		v->checks[i]->sig = sigs[next++];
	}
	if (next != (size_t)n)
		return false;
	for (size_t i = 0; i < v->n; i++)
		if (v->checks[i]->sig != NULL && !v->checks[i]->open)
			dkim_sig_ignore(v->checks[i]->sig);
	return true;
}

/* any_open - is there a signature without a result? */
static bool
any_open(const struct dkim_verification *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->checks[i]->open)
			return true;
	return false;
}

/* prefetch - ask for the keys of all open signatures that the library would verify */
static void
prefetch(struct dkim_verification *v)
{
	const struct dkim_dns *dns = &dkim_service_options(v->service)->dns;

	for (size_t i = 0; dns->prefetch != NULL && i < v->n; i++) {
		const struct check *check = v->checks[i];

		if (check->open && dkim_sig_geterror(check->sig) == DKIM_SIGERROR_UNKNOWN)
			dns->prefetch(
			    dns->state, check->key_name, strlen(check->key_name), DNS_TXT);
	}
}

/* verification_free - destructor */
static int
verification_free(struct dkim_verification *v)
{
	if (v->dkim != NULL)
		dkim_free(v->dkim);
	dkim_lib_return(v->service, v->lib);
	return 0;
}

/* open_library - a library context for the open signatures; false if that fails */
static bool
open_library(struct dkim_verification *v, const struct header_list *list, const bool *marks)
{
	DKIM_STAT status;

	v->lib = dkim_lib_borrow(v->service, NULL, 0);
	if (v->lib == NULL)
		return false;
	v->memory = mem_new(v, char);
	v->dkim = dkim_verify(
	    dkim_lib_of(v->lib), (const unsigned char *)"countersign", v->memory, &status);
	if (v->dkim == NULL)
		return false;
	dkim_set_user_context(v->dkim, &v->asker);
	return verify_feed_header(v, list, marks) && match_signatures(v);
}

static DKIM_CBSTAT verify_key(struct dkim_asker *, DKIM_SIGINFO *, unsigned char *, size_t);

struct dkim_verification *
dkim_verify_start(TALLOC_CTX *ctx, struct dkim_service *service, const struct header_list *list,
    const char *author)
{
	struct dkim_verification *v = mem_new(ctx, struct dkim_verification);

	v->asker.key = verify_key;
	v->service = service;
	v->relaxed.relaxed = true;
	v->several_from = header_count(list, "From") > 1;
	talloc_set_destructor(v, verification_free);
	read_signatures(v, list);
	if (!any_open(v))
		return v;

	bool *marks = mem_array(v, bool, list->n + 1);

	verify_choose(v, mark_fields(v, list, marks), author);
	replace_unreadable(v, list);
	mark_fields(v, list, marks);
	if (any_open(v) && !open_library(v, list, marks))
		settle_all(v, DKIM_IS_TEMPERROR, "libopendkim cannot verify this message");
	for (size_t i = 0; i < v->n; i++)
		v->counting |= v->checks[i]->open && v->checks[i]->length >= 0;
	talloc_free(marks);
	prefetch(v);
	return v;
}

/* --- the body ---------------------------------------------------------- */

/* verify_end_line - a line end, or the end of the body within a line */
static void
verify_end_line(struct body_count *count)
{
	if (count->line == 0) {
		count->blank++;
	} else {
		count->total += 2 * count->blank + count->line + 2;
		count->blank = 0;
	}
	count->line = 0;
	count->white = false;
}

/* count_octet - one octet of the body */
static void
count_octet(struct body_count *count, char c)
{
	if (c == '\n' && count->cr) {
		count->cr = false;
		verify_end_line(count);
		return;
	}
	if (count->cr) {
		count->cr = false;
		count->line += 1 + count->white;
		count->white = false;
	}
	if (c == '\r') {
		count->cr = true;
	} else if (count->relaxed && (c == ' ' || c == '\t')) {
		count->white = true;
	} else {
		count->line += 1 + count->white;
		count->white = false;
	}
}

/* body_octets - canonical octets of the whole body, its last line ended */
static int64_t
body_octets(const struct body_count *count)
{
	return count->total == 0 && !count->relaxed ? 2 : count->total;
}

size_t
dkim_verify_domains(const struct dkim_verification *v, const char **domains_r, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n && n < max; i++)
		if (v->checks[i]->open)
			domains_r[n++] = v->checks[i]->fact.sdid;
	return n;
}

bool
dkim_verify_wants_body(const struct dkim_verification *v)
{
	return v->dkim != NULL && v->watch.problem == NULL && any_open(v);
}

/* verify_feed_body - octets that were watched */
static void
verify_feed_body(struct dkim_verification *v, const char *bytes, size_t len)
{
	unsigned char *octets;

	/* The library does not change them, though it asks for what is not const. */
	memcpy(&octets, &bytes, sizeof(octets));
	for (size_t i = 0; v->counting && i < len; i++) {
		count_octet(&v->simple, bytes[i]);
		count_octet(&v->relaxed, bytes[i]);
	}
	if (len > 0 && dkim_body(v->dkim, octets, len) != DKIM_STAT_OK)
		settle_all(v, DKIM_IS_TEMPERROR, "libopendkim cannot read the body");
}

void
dkim_verify_body(struct dkim_verification *v, const char *bytes, size_t len)
{
	if (!dkim_verify_wants_body(v))
		return;
	if (!dkim_body_watch(&v->watch, bytes, len))
		settle_all(v, DKIM_IS_POLICY, v->watch.problem);
	else
		verify_feed_body(v, bytes, len);
}

/* --- keys -------------------------------------------------------------- */

/* fetch_answer - DNS's answer for a check's key, asked for once for each name */
static const struct dns_answer *
fetch_answer(struct dkim_verification *v, struct check *check)
{
	const struct dkim_dns *dns = &dkim_service_options(v->service)->dns;

	for (size_t i = 0; i < v->n && check->answer == NULL; i++)
		if (v->checks[i]->answer != NULL &&
		    strcasecmp(v->checks[i]->key_name, check->key_name) == 0)
			check->answer = v->checks[i]->answer;
	if (check->answer == NULL && dns->ask != NULL)
		check->answer = dns->ask(dns->state, v, check->key_name, strlen(check->key_name),
		    DNS_TXT, v->deadline_ms);
	return check->answer;
}

/* append_tag - one tag of the new record */
static char *
append_tag(char *record, const struct dkim_tags *tags, const char *name)
{
	char *value = dkim_tags_text(record, tags, name, DKIM_KEY_OCTETS);

	if (value == NULL)
		return record;
	return mem_check(talloc_asprintf_append_buffer(record, "; %s=%s", name, value));
}

/*
 * read_record - one key record (RFC 6376 section 3.6.1)
 * Returns the new record, or NULL with *problem_r: it does not fit this signature.
 */
static char *
read_record(struct dkim_verification *v, struct check *check, const struct dns_record *data,
    bool *revoked_r, const char **problem_r)
{
	struct dkim_tags tags;
	const char *wanted = check->ed25519 ? "ed25519" : "rsa", *error;

	*problem_r = "the key record cannot be read";
	if (data->len > 8 * DKIM_KEY_OCTETS ||
	    dkim_tags_read((const char *)data->data, data->len, &tags, &error) != 0 || tags.utf8)
		return NULL;

	const char *version = dkim_tags_text(v, &tags, "v", 20),
		   *type = dkim_tags_text(v, &tags, "k", 20);

	if (dkim_tags_find(&tags, "p") == NULL ||
	    (version != NULL && strcmp(version, "DKIM1") != 0))
		return NULL;
	*problem_r = "the key is of another type than the signature";
	if (type == NULL ? check->ed25519 || dkim_tags_find(&tags, "k") != NULL
			 : strcasecmp(type, wanted) != 0)
		return NULL;

	const char *p = dkim_tags_text(v, &tags, "p", DKIM_KEY_OCTETS);
	char *record = mem_strdup(v, "v=DKIM1");

	*problem_r = "the key record is too long";
	*revoked_r = dkim_tags_find(&tags, "p")->len == 0;
	if (p == NULL)
		return NULL;
	record = append_tag(record, &tags, "h");
	record = append_tag(record, &tags, "s");
	record = append_tag(record, &tags, "t");
	if (check->stand_in != NULL && !*revoked_r)
		record = mem_check(talloc_asprintf_append_buffer(
		    record, "; %s", stand_in_key(check->stand_in)));
	else
		record = mem_check(talloc_asprintf_append_buffer(record, "; k=%s; p=%s", wanted,
		    check->ed25519 ? p : public_key_wrapped(record, p)));
	check->p = p;
	return strlen(record) > DKIM_KEY_OCTETS ? NULL : record;
}

/* choose_record - of the records at a name the first that fits and is not revoked */
static char *
choose_record(struct dkim_verification *v, struct check *check, const struct dns_answer *answer)
{
	char *revoked = NULL;

	for (size_t i = 0; i < answer->count && i < RECORDS_MAX; i++) {
		const char *problem;
		bool empty = false;
		char *record = read_record(v, check, &answer->records[i], &empty, &problem);

		if (record == NULL) {
			check->key_problem = problem;
			continue;
		}
		if (!empty)
			return record;
		revoked = record;
	}
	check->revoked = revoked != NULL;
	return revoked;
}

/* verify_key - the library's question for a signature's key */
static DKIM_CBSTAT
verify_key(struct dkim_asker *asker, DKIM_SIGINFO *sig, unsigned char *record_r, size_t size)
{
	struct dkim_verification *v = (struct dkim_verification *)(void *)asker;
	struct check *check = NULL;

	for (size_t i = 0; i < v->n && check == NULL; i++)
		if (v->checks[i]->sig == sig)
			check = v->checks[i];
	if (check == NULL)
		return DKIM_CBSTAT_ERROR;

	const struct dns_answer *answer = fetch_answer(v, check);

	if (answer == NULL || answer->status == DNS_TIMEOUT || answer->status == DNS_FAILURE) {
		check->key_temporary = true;
		check->key_problem = mem_printf(v, "the key could not be fetched: %s",
		    answer != NULL && answer->problem != NULL ? answer->problem :
		    answer != NULL && answer->status == DNS_TIMEOUT ? "timeout" : "DNS failure");
		/* Otherwise the library would try again, and then forget it. */
		dkim_sig_seterror(sig, DKIM_SIGERROR_KEYFAIL);
		return DKIM_CBSTAT_TRYAGAIN;
	}
	if (answer->status != DNS_OK || answer->count == 0) {
		check->key_problem = "there is no key record";
		return DKIM_CBSTAT_NOTFOUND;
	}

	const char *record = choose_record(v, check, answer);

	check->fact.stale = answer->stale;
	if (record == NULL || strlen(record) >= size)
		return DKIM_CBSTAT_NOTFOUND;
	memcpy(record_r, record, strlen(record) + 1);
	return DKIM_CBSTAT_CONTINUE;
}

/* --- the library's findings -------------------------------------------- */

/* What an error of the library means. Those not listed are permerror, in the library's words. */
static const struct finding {
	DKIM_SIGERROR error;
	enum dkim_result result;
	const char *problem;
} findings[] = {
	{ DKIM_SIGERROR_EXPIRED, DKIM_IS_POLICY, "the signature has expired" },
	{ DKIM_SIGERROR_FUTURE, DKIM_IS_POLICY, "the signature is from the future" },
	{ DKIM_SIGERROR_TIMESTAMPS, DKIM_IS_PERMERROR, "x= is not after t=" },
	{ DKIM_SIGERROR_TOOLARGE_L, DKIM_IS_FAIL, "l= is more than the body has" },
	{ DKIM_SIGERROR_KEYREVOKED, DKIM_IS_PERMERROR, "the key was revoked" },
	{ DKIM_SIGERROR_KEYTOOSMALL, DKIM_IS_POLICY, "the key is too short" },
	{ DKIM_SIGERROR_KEYDECODE, DKIM_IS_PERMERROR, "the key cannot be read" },
	{ DKIM_SIGERROR_SUBDOMAIN, DKIM_IS_PERMERROR, "the key does not sign for subdomains" },
	{ DKIM_SIGERROR_NOTEMAILKEY, DKIM_IS_PERMERROR, "the key is not for mail" },
	{ DKIM_SIGERROR_KEYHASHMISMATCH, DKIM_IS_PERMERROR, "the key does not allow this hash" },
	{ DKIM_SIGERROR_KEYUNKNOWNHASH, DKIM_IS_PERMERROR, "the key allows no known hash" },
	{ DKIM_SIGERROR_DNSSYNTAX, DKIM_IS_PERMERROR, "the key record cannot be read" },
};

#define FINDINGS	(sizeof(findings) / sizeof(findings[0]))

/* settle_bad - a signature that did not verify; hash: of the body, as the library names it */
static void
settle_bad(struct dkim_verification *v, struct check *check, int error, int hash)
{
	for (size_t i = 0; i < FINDINGS; i++)
		if (findings[i].error == error)
			signature_settle(check, findings[i].result, findings[i].problem);
	if (error == DKIM_SIGERROR_BADSIG)
		signature_settle(check, DKIM_IS_FAIL, hash == DKIM_SIGBH_MISMATCH ?
		    "the body has changed" : "the signature does not match the header");

	const char *text = dkim_sig_geterrorstr(error);

	signature_settle(check,
	    error == DKIM_SIGERROR_UNKNOWN ? DKIM_IS_TEMPERROR : DKIM_IS_PERMERROR,
	    mem_printf(v, "libopendkim: %s", text != NULL ? text : "unknown error"));
}

/* settle_good - a signature that verified: of one author, and over the whole body? */
static void
settle_good(struct dkim_verification *v, struct check *check)
{
	int64_t body = body_octets(check->relaxed ? &v->relaxed : &v->simple);

	if (check->length >= 0 && check->length < body &&
	    !dkim_service_options(v->service)->trust_partial)
		signature_settle(check, DKIM_IS_POLICY,
		    mem_printf(v, "l= covers %lld of %lld bytes of the body",
			(long long)check->length, (long long)body));
	if (v->several_from)
		signature_settle(check, DKIM_IS_POLICY,
		    "the message has several From fields, and readers differ in the one they show");
	signature_settle(check, DKIM_IS_PASS, NULL);
}

/* conclude_real - the signature that a stand-in stands for: settled unless it is good */
static void
conclude_real(struct dkim_verification *v, struct check *check)
{
	const struct dkim_options *options = dkim_service_options(v->service);
	const char *problem;
	enum dkim_result result = stand_in_verify(check->stand_in, check->p,
	    options->min_key_bits, &check->fact.key_bits, &problem);

	if (result != DKIM_IS_PASS)
		signature_settle(check, result, problem);
}

/* conclude - the result of one signature that the library has seen */
static void
conclude(struct dkim_verification *v, struct check *check)
{
	unsigned int flags = dkim_sig_getflags(check->sig), bits = 0;
	int error = dkim_sig_geterror(check->sig), hash = dkim_sig_getbh(check->sig);

	check->fact.testing = (flags & DKIM_SIGFLAG_TESTKEY) != 0;
	if (check->stand_in != NULL)
		check->fact.key_bits = 0;
	else if (check->ed25519)
		check->fact.key_bits = (flags & DKIM_SIGFLAG_PROCESSED) != 0 &&
		    error != DKIM_SIGERROR_NOKEY ? 256 : 0;
	else if (dkim_sig_getkeysize(check->sig, &bits) == DKIM_STAT_OK)
		check->fact.key_bits = bits;

	if (check->stand_in != NULL && (error == DKIM_SIGERROR_OK || error == DKIM_SIGERROR_BADSIG))
		conclude_real(v, check);
	if (check->key_temporary)
		signature_settle(check, DKIM_IS_TEMPERROR, check->key_problem);
	else if (check->revoked)
		signature_settle(check, DKIM_IS_PERMERROR, "the key was revoked");
	else if (error == DKIM_SIGERROR_NOKEY)
		signature_settle(check, DKIM_IS_PERMERROR,
		    check->key_problem != NULL ? check->key_problem : "there is no key record");
	else if (error == DKIM_SIGERROR_OK && (flags & DKIM_SIGFLAG_PASSED) != 0 &&
	    (flags & DKIM_SIGFLAG_IGNORE) == 0 && hash == DKIM_SIGBH_MATCH)
		settle_good(v, check);
	else
		settle_bad(v, check, error, hash);
}

/* run_library - end the body and let the library verify */
static void
run_library(struct dkim_verification *v)
{
	const char *rest = dkim_body_rest(&v->watch);

	verify_feed_body(v, rest, strlen(rest));
	if (!any_open(v))
		return;
	/* The status sums all signatures up; each is asked for its own below. */
	(void)dkim_eom(v->dkim, NULL);
	for (size_t i = 0; i < v->n; i++)
		if (v->checks[i]->open)
			conclude(v, v->checks[i]);
}

/* copy_text - a string of a fact onto another context; NULL stays NULL */
static const char *
copy_text(TALLOC_CTX *ctx, const char *text)
{
	return text == NULL ? NULL : mem_strdup(ctx, text);
}

void
dkim_verify_finish(struct dkim_verification *v, TALLOC_CTX *ctx, int64_t deadline_ms,
    struct dkim_fact **facts_r, size_t *n_r)
{
	v->deadline_ms = deadline_ms;
	if (v->dkim != NULL && any_open(v))
		run_library(v);

	*facts_r = mem_array(ctx, struct dkim_fact, v->n + 1);
	*n_r = v->n;
	for (size_t i = 0; i < v->n; i++) {
		const struct dkim_fact *fact = &v->checks[i]->fact;

		(*facts_r)[i] = (struct dkim_fact){ .result = fact->result,
			.key_bits = fact->key_bits,
			.testing = fact->testing,
			.stale = fact->stale,
			.sdid = copy_text(*facts_r, fact->sdid),
			.selector = copy_text(*facts_r, fact->selector),
			.auid = copy_text(*facts_r, fact->auid),
			.algorithm = copy_text(*facts_r, fact->algorithm),
			.b_prefix = copy_text(*facts_r, fact->b_prefix),
			.problem = copy_text(*facts_r, fact->problem) };
	}
	if (v->dkim != NULL)
		dkim_free(v->dkim);
	v->dkim = NULL;
}
