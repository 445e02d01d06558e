/*
 * dkim.c - what signing and verifying have in common
 *
 * The cage around libopendkim. Its source (2.11 beta, as Debian ships it) was read for
 * what strangers' input can do to it; each bar of the cage answers one thing:
 *
 * - Memory comes from our allocator, with some octets of slack. The library
 *   writes one pointer past an array if h= names more fields than there are
 *   (dkim_canon_selecthdrs); the slack takes it. All memory
 *   belongs to the message, so what the library forgets to free goes with that.
 * - It keeps a reference to each Ed25519 key it signed with. Whether this build does
 *   is found out at start with a throw-away key, and the reference is then
 *   given back for it (sign.c).
 * - It accepts tags that occur twice (the last wins), an empty l=, domains with
 *   odd characters, and ignores k=. So it only sees signatures and key
 *   records that the reader below and verify.c have accepted, and only the fields that
 *   its signatures name: its searches are quadratic.
 * - It silently cuts h= at 4096 octets and key records at 1024; both are bounded below that here.
 * - A failed key query leaves no trace in its result; verify.c keeps it.
 * - The relaxed body form collects a line until white space; lines have a bound.
 *
 * The list of oversigned names is a property of a library object, but which names are
 * closed depends on the fields a message has. There are few such lists in
 * practice, so a small pool of objects is kept, one for each list.
 *
 * Threads: the pool is shared by all threads, with its own lock, and lives
 * outside talloc. A library object is not changed once it is in the pool, and the library
 * only reads it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "filter/dkim/dkim.h"
#include "filter/dkim/key_shortcut.h"
#include "policy/base/mem.h"

#define SLACK		64	/* octets after each allocation of the library */
#define IDLE_MAX	64	/* library objects kept; more only while they are in use */

/* A library object in the pool. */
struct dkim_lib_ref {
	struct dkim_lib_ref *next;
	char *names;		/* oversigned names, ":" between; NULL: for verifying */
	uint64_t ttl;		/* seconds until x=; 0: none */
	DKIM_LIB *lib;
	size_t users;		/* messages that use it now */
	uint64_t used;		/* tick of the last borrowing */
};

struct dkim_service {
	struct dkim_options options;
	bool ed25519;
	bool ed25519_leaks;
	pthread_mutex_t lock;	/* guards the rest */
	struct dkim_lib_ref *pool;
	size_t n_pool;
	uint64_t tick;
};

/* --- memory ------------------------------------------------------------ */

/* library_alloc - memory of the message; closure: a talloc context */
static void *
library_alloc(void *closure, size_t size)
{
	return mem_check(talloc_size(closure, size + SLACK));
}

static void
library_free(void *closure, void *memory)
{
	(void)closure;
	talloc_free(memory);
}

/* --- the pool ---------------------------------------------------------- */

/* join_names - the key of a list in the pool, allocated with malloc; NULL for NULL */
static char *
join_names(const char *const *names)
{
	size_t len = 1;

	if (names == NULL)
		return NULL;
	for (size_t i = 0; names[i] != NULL; i++)
		len += strlen(names[i]) + 1;

	char *joined = mem_check(calloc(1, len));

	for (size_t i = 0; names[i] != NULL; i++) {
		strcat(joined, names[i]);
		strcat(joined, ":");
	}
	return joined;
}

/* same_names - do two keys of the pool mean the same list? */
static bool
same_names(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* set_option - one option of a library object; size as the library wants it */
static bool
set_option(DKIM_LIB *lib, dkim_opts_t option, void *value, size_t size)
{
	return dkim_options(lib, DKIM_OP_SETOPT, option, value, size) == DKIM_STAT_OK;
}

/* key_lookup - the library's question for a signature's key */
static DKIM_CBSTAT
key_lookup(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *record_r, size_t size)
{
	struct dkim_asker *asker = dkim_get_user_context(dkim);

	return asker->key(asker, sig, record_r, size);
}

/* prepare_verifying - options of the object that verifies */
static bool
prepare_verifying(const struct dkim_options *options, DKIM_LIB *lib)
{
	/* Bad From fields must not stop us; keys are looked up at the end of the message. */
	unsigned int flags = DKIM_LIBFLAGS_BADSIGHANDLES | DKIM_LIBFLAGS_DELAYSIGPROC;
	unsigned int bits = options->min_key_bits;
	uint64_t drift = options->clock_drift;

	return set_option(lib, DKIM_OPTS_FLAGS, &flags, sizeof(flags)) &&
	    set_option(lib, DKIM_OPTS_MINKEYBITS, &bits, sizeof(bits)) &&
	    set_option(lib, DKIM_OPTS_CLOCKDRIFT, &drift, sizeof(drift)) &&
	    dkim_set_key_lookup(lib, key_lookup) == DKIM_STAT_OK;
}

/* prepare_signing - options of an object that signs; the keyring has judged the keys */
static bool
prepare_signing(const struct dkim_options *options, DKIM_LIB *lib, const char *const *oversigned,
    uint64_t ttl)
{
	unsigned int bits = 1;
	uint64_t time = options->fixed_time;

	if (!set_option(lib, DKIM_OPTS_MINKEYBITS, &bits, sizeof(bits)) ||
	    !set_option(lib, DKIM_OPTS_SIGNATURETTL, &ttl, sizeof(ttl)) ||
	    !set_option(lib, DKIM_OPTS_FIXEDTIME, &time, sizeof(time)))
		return false;
	if (oversigned[0] == NULL)
		return true;

	/* The library copies the names, and declares them without const. */
	char **names;

	memcpy(&names, &oversigned, sizeof(names));
	return set_option(lib, DKIM_OPTS_OVERSIGNHDRS, names, sizeof(names));
}

/* new_ref - a new member of the pool; takes over names; NULL if the library refuses */
static struct dkim_lib_ref *
new_ref(
    const struct dkim_options *options, char *names, const char *const *oversigned, uint64_t ttl)
{
	struct dkim_lib_ref *ref = mem_check(calloc(1, sizeof(*ref)));
	DKIM_LIB *lib = dkim_init(library_alloc, library_free);

	if (lib == NULL || !(oversigned == NULL ? prepare_verifying(options, lib) :
	    prepare_signing(options, lib, oversigned, ttl))) {
		if (lib != NULL)
			dkim_close(lib);
		free(names);
		free(ref);
		return NULL;
	}
	ref->names = names;
	ref->ttl = ttl;
	ref->lib = lib;
	return ref;
}

/* free_ref - the end of a member that is out of the pool */
static void
free_ref(struct dkim_lib_ref *ref)
{
	dkim_close(ref->lib);
	free(ref->names);
	free(ref);
}

/* dkim_take_idlest - take the member that was not used for longest out of a pool that is too
 * large */
static struct dkim_lib_ref *
dkim_take_idlest(struct dkim_service *service)
{
	struct dkim_lib_ref **oldest = NULL;

	if (service->n_pool <= IDLE_MAX)
		return NULL;
	for (struct dkim_lib_ref **p = &service->pool; *p != NULL; p = &(*p)->next)
		if ((*p)->users == 0 && (oldest == NULL || (*p)->used < (*oldest)->used))
			oldest = p;
	if (oldest == NULL)
		return NULL;

	struct dkim_lib_ref *ref = *oldest;

	*oldest = ref->next;
	service->n_pool--;
	return ref;
}

struct dkim_lib_ref *
dkim_lib_borrow(struct dkim_service *service, const char *const *oversigned, uint64_t ttl)
{
	char *names = join_names(oversigned);
	struct dkim_lib_ref *ref;

	(void)pthread_mutex_lock(&service->lock);
	for (ref = service->pool; ref != NULL; ref = ref->next)
		if (ref->ttl == ttl && same_names(ref->names, names))
			break;
	if (ref != NULL) {
		free(names);
	} else {
		ref = new_ref(&service->options, names, oversigned, ttl);
		if (ref != NULL) {
			ref->next = service->pool;
			service->pool = ref;
			service->n_pool++;
		}
	}
	if (ref != NULL) {
		ref->users++;
		ref->used = ++service->tick;
	}
	(void)pthread_mutex_unlock(&service->lock);
	return ref;
}

DKIM_LIB *
dkim_lib_of(const struct dkim_lib_ref *ref)
{
	return ref->lib;
}

void
dkim_lib_return(struct dkim_service *service, struct dkim_lib_ref *ref)
{
	if (ref == NULL)
		return;
	(void)pthread_mutex_lock(&service->lock);
	ref->users--;

	struct dkim_lib_ref *surplus = dkim_take_idlest(service);

	(void)pthread_mutex_unlock(&service->lock);
	if (surplus != NULL)
		free_ref(surplus);
}

/* --- does the library keep Ed25519 keys? ------------------------------- */

static pthread_once_t probe_once = PTHREAD_ONCE_INIT;
static int probe_index = -1;	/* of OpenSSL's extra data */

/* probe_freed - OpenSSL calls this when a key goes; data: the flag to set, or NULL */
static void
probe_freed(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	(void)parent, (void)ex, (void)index, (void)argl, (void)argp;
	if (data != NULL)
		*(bool *)data = true;
}

static void
probe_setup(void)
{
	probe_index = EVP_PKEY_get_ex_new_index(0, NULL, NULL, NULL, probe_freed);
}

/* probe_sign - sign a small message with a handle, the way sign.c does */
static bool
probe_sign(DKIM_LIB *lib, const char *handle)
{
	TALLOC_CTX *memory = mem_new(NULL, char);
	char *key = mem_check(key_shortcut_text(handle)), from[] = "From: probe@countersign.example", body[] = "\r\n";
	DKIM_STAT status;
	bool made = false;

	DKIM *dkim = dkim_sign(lib, (const unsigned char *)"probe", memory, (dkim_sigkey_t)key,
	    (const unsigned char *)"probe", (const unsigned char *)"countersign.example",
	    DKIM_CANON_RELAXED, DKIM_CANON_RELAXED, DKIM_SIGN_ED25519SHA256, -1, &status);

	key_shortcut_text_free(key);
	if (dkim != NULL) {
		made = dkim_header(dkim, (unsigned char *)from, strlen(from)) == DKIM_STAT_OK &&
		    dkim_eoh(dkim) == DKIM_STAT_OK &&
		    dkim_body(dkim, (unsigned char *)body, strlen(body)) == DKIM_STAT_OK &&
		    dkim_privkey_load(dkim) == DKIM_STAT_OK && dkim_eom(dkim, NULL) == DKIM_STAT_OK;
		dkim_free(dkim);
	}
	talloc_free(memory);
	return made;
}

/* probe_ed25519 - can the library sign with Ed25519, and does it keep the key? */
static void
probe_ed25519(struct dkim_service *service, DKIM_LIB *lib)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char handle[KEY_SHORTCUT_HANDLE];
	bool freed = false;

	(void)pthread_once(&probe_once, probe_setup);
	if (key == NULL || probe_index < 0 || EVP_PKEY_set_ex_data(key, probe_index, &freed) != 1 ||
	    key_shortcut_add(key, handle) != 0) {
		EVP_PKEY_free(key);
		return;
	}
	service->ed25519 = dkim_libfeature(lib, DKIM_FEATURE_ED25519) && probe_sign(lib, handle);
	key_shortcut_remove(handle);

	/* Ours is the last reference now, unless the library kept one. */
	EVP_PKEY *kept = key;

	EVP_PKEY_free(key);
	service->ed25519_leaks = !freed;
	if (service->ed25519_leaks)
		EVP_PKEY_free(kept);
}

/* --- the service ------------------------------------------------------- */

/* service_free - destructor */
static int
service_free(struct dkim_service *service)
{
	while (service->pool != NULL) {
		struct dkim_lib_ref *ref = service->pool;

		service->pool = ref->next;
		free_ref(ref);
	}
	(void)pthread_mutex_destroy(&service->lock);
	return 0;
}

/* with_defaults - the options in force */
static struct dkim_options
with_defaults(struct dkim_options options)
{
	if (options.min_key_bits == 0)
		options.min_key_bits = 1024;
	if (options.max_signatures == 0)
		options.max_signatures = DKIM_SIGNATURES_DEFAULT;
	if (options.max_signatures > DKIM_SIGNATURES_LIMIT)
		options.max_signatures = DKIM_SIGNATURES_LIMIT;
	if (options.clock_drift == 0)
		options.clock_drift = 300;
	return options;
}

struct dkim_service *
dkim_service_new(TALLOC_CTX *ctx, const struct dkim_options *options, const char **error_r)
{
	static const char *const nothing[] = { NULL };
	struct dkim_service *service = mem_new(ctx, struct dkim_service);

	service->options = with_defaults(*options);
	(void)pthread_mutex_init(&service->lock, NULL);
	talloc_set_destructor(service, service_free);

	struct dkim_lib_ref *verifying = dkim_lib_borrow(service, NULL, 0);
	struct dkim_lib_ref *signing = dkim_lib_borrow(service, nothing, 0);

	if (verifying == NULL || signing == NULL ||
	    !dkim_libfeature(signing->lib, DKIM_FEATURE_SHA256)) {
		*error_r = mem_printf(ctx, "libopendkim cannot be used: %s",
		    verifying == NULL || signing == NULL ? "it does not take its options" :
		    "it was built without SHA-256");
		talloc_free(service);
		return NULL;
	}
	probe_ed25519(service, signing->lib);
	dkim_lib_return(service, verifying);
	dkim_lib_return(service, signing);
	return service;
}

const struct dkim_options *
dkim_service_options(const struct dkim_service *service)
{
	return &service->options;
}

bool
dkim_service_ed25519(const struct dkim_service *service)
{
	return service->ed25519;
}

bool
dkim_service_ed25519_leaks(const struct dkim_service *service)
{
	return service->ed25519_leaks;
}

/* --- feeding ----------------------------------------------------------- */

DKIM_STAT
dkim_feed_field(DKIM *dkim, TALLOC_CTX *scratch, const struct header_field *field)
{
	size_t n = 0, folds = 0;

	for (size_t i = 0; i < field->value_len; i++)
		folds += field->value[i] == '\n';

	char *text = mem_array(scratch, char, field->name_len + field->value_len + folds + 2);

	memcpy(text, field->name, field->name_len);
	n = field->name_len;
	text[n++] = ':';
	for (size_t i = 0; i < field->value_len; i++) {
		if (field->value[i] == '\n' && text[n - 1] != '\r')
			text[n++] = '\r';
		text[n++] = field->value[i];
	}

	DKIM_STAT status = dkim_header(dkim, (unsigned char *)text, n);

	talloc_free(text);
	return status;
}

/* is_break - where the relaxed form writes out what it has collected */
static bool
is_break(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* watch_piece - at most DKIM_LINE_MAX octets */
static bool
watch_piece(struct dkim_body_watch *watch, const char *bytes, size_t len)
{
	size_t first = 0, last = len;

	while (first < len && !is_break(bytes[first]))
		first++;
	if (watch->run + first > DKIM_LINE_MAX) {
		watch->problem = "a line of the body is too long";
		return false;
	}
	if (first == len) {
		watch->run += len;
		return true;
	}
	while (!is_break(bytes[last - 1]))
		last--;
	watch->run = len - last;
	return true;
}

bool
dkim_body_watch(struct dkim_body_watch *watch, const char *bytes, size_t len)
{
	if (watch->problem != NULL)
		return false;
	if (len == 0)
		return true;
	if (len > (size_t)(DKIM_BODY_MAX - watch->octets)) {
		watch->problem = "the body is too large";
		return false;
	}
	watch->octets += (int64_t)len;
	watch->last = bytes[len - 1];
	while (len > 0) {
		size_t piece = len < DKIM_LINE_MAX ? len : DKIM_LINE_MAX;

		if (!watch_piece(watch, bytes, piece))
			return false;
		bytes += piece;
		len -= piece;
	}
	return true;
}

const char *
dkim_body_rest(const struct dkim_body_watch *watch)
{
	if (watch->octets == 0 || watch->last == '\n')
		return "";
	return watch->last == '\r' ? "\n" : "\r\n";
}

/* --- tag lists --------------------------------------------------------- */

/* is_tag_name - ALPHA *ALNUMPUNC, RFC 6376 section 3.2 */
static bool
is_tag_name(struct span name)
{
	if (name.len == 0 || !text_is_alnum(name.at[0]) || (name.at[0] >= '0' && name.at[0] <= '9'))
		return false;
	for (size_t i = 1; i < name.len; i++)
		if (!text_is_alnum(name.at[i]) && name.at[i] != '_')
			return false;
	return true;
}

/* is_tag_value - VALCHAR and white space; UTF-8 in the three tags that name domains (RFC 8616) */
static bool
is_tag_value(struct span name, struct span value)
{
	bool wide = name.len == 1 && strchr("dsi", name.at[0]) != NULL;

	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if (!text_is_space(value.at[i]) && (c < '!' || c == 0x7f || (c > '~' && !wide)))
			return false;
	}
	return !wide || text_is_utf8(value.at, value.len);
}

/* read_tag - one tag-spec, without its semicolon; static error text, or NULL */
static const char *
read_tag(struct span spec, struct dkim_tags *tags)
{
	const char *equals = memchr(spec.at, '=', spec.len);

	if (equals == NULL)
		return "a tag has no value";

	size_t before = (size_t)(equals - spec.at);
	struct span name = text_trim(text_span_of(spec.at, before));
	struct span value = text_trim(text_span_of(equals + 1, spec.len - before - 1));

	if (!is_tag_name(name))
		return "the name of a tag is none";
	if (!is_tag_value(name, value))
		return "a tag holds a byte that is not printable ASCII";
	if (tags->n == DKIM_TAGS_MAX)
		return "there are too many tags";
	for (size_t i = 0; i < tags->n; i++)
		if (text_equal(tags->tags[i].name, name))
			return "a tag occurs twice";
	tags->utf8 |= !text_is_ascii(value.at, value.len);
	tags->tags[tags->n++] = (struct dkim_tag){ name, value, name.at + name.len != equals };
	return NULL;
}

int
dkim_tags_read(const char *text, size_t len, struct dkim_tags *tags_r, const char **error_r)
{
	struct span rest = text_trim(text_span_of(text, len));

	tags_r->n = 0;
	tags_r->utf8 = false;
	while (rest.len > 0) {
		const char *end = memchr(rest.at, ';', rest.len);
		size_t spec = end == NULL ? rest.len : (size_t)(end - rest.at);

		*error_r = read_tag(text_span_of(rest.at, spec), tags_r);
		if (*error_r != NULL)
			return -1;
		spec += end != NULL;
		rest = text_span_of(rest.at + spec, rest.len - spec);
	}
	return 0;
}

const struct span *
dkim_tags_find(const struct dkim_tags *tags, const char *name)
{
	for (size_t i = 0; i < tags->n; i++)
		if (text_equal(tags->tags[i].name, text_span(name)))
			return &tags->tags[i].value;
	return NULL;
}

char *
dkim_tags_text(TALLOC_CTX *ctx, const struct dkim_tags *tags, const char *name, size_t max)
{
	const struct span *value = dkim_tags_find(tags, name);
	size_t n = 0;

	if (value == NULL)
		return NULL;

	char *text = mem_array(ctx, char, value->len + 1);

	for (size_t i = 0; i < value->len; i++)
		if (!text_is_space(value->at[i]))
			text[n++] = value->at[i];
	text[n] = '\0';
	if (n <= max)
		return text;
	talloc_free(text);
	return NULL;
}
