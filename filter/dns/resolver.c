/*
 * resolver.c - DNS answers with a deadline, on top of libunbound
 *
 * libunbound is used asynchronously, because its blocking call costs ten times
 * the CPU and knows no deadline. ub_ctx_async(ctx, 1) makes it keep a worker
 * thread of its own, which talks to the servers; the other kind, a forked
 * process, would not do in a daemon full of threads. All calls to the context
 * are made by one thread of ours, the dispatcher: it hands over new questions
 * and calls ub_process() when answers are there. So libunbound's pipes are
 * never filled or read by two threads, and an asker never blocks in them.
 *
 *	asker ── queue, eventfd ──► dispatcher ── ub_resolve_async ──► libunbound
 *	asker ◄── condition ─────── dispatcher ◄── ub_fd, ub_process ──┘
 *
 * A question is an object of its own, never memory of a message. It is found
 * by name and type in a tree (not a hash table: strangers choose the names, and
 * a tree has no collisions to aim at), from when it is first asked until
 * its answer has expired: one that is under way is shared by all who ask the
 * same, and one that is answered is the cache. The answered ones also hang in
 * a list by last use, whose oldest goes when there are too many or they hold
 * too many octets. References are counted: one for the tree, one while the
 * answer is awaited, one per asker. An asker whose deadline passes drops its
 * count and leaves; the answer comes into the cache when it comes.
 *
 * Threads: every field below "lock" is read and written with the lock held.
 * A question's answer is written once, before done is set, and never after;
 * who holds a reference reads it without the lock. The dispatcher calls
 * libunbound without the lock.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <sys/eventfd.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <unbound.h>

#include "filter/base/clock.h"
#include "filter/dns/resolver.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* DNS numbers, RFC 1035 sections 3.2.4 and 4.1.1. */
#define CLASS_IN		1
#define RCODE_OK		0
#define RCODE_NXDOMAIN		3

/* How long answers are kept, in milliseconds. An answer lives for a second in
 * any case, so that one asked ahead lives until it is wanted. A failure lives no
 * longer: it spares a second attempt within one message, and hides no recovery. */
#define KEEP_MIN		1000
#define KEEP_MAX		(3600 * 1000)
#define KEEP_NEGATIVE_MAX	(300 * 1000)
#define KEEP_FAILURE		1000

/* Octets of cached answers per allowed entry, on average. */
#define BYTES_PER_ENTRY		2048

/* Questions under way at once; more are failures. libunbound is set to the same. */
#define UNDER_WAY_MAX		1024
#define UNDER_WAY_MAX_TEXT	"1024"

/* One question and, later, its answer. */
struct question {
	struct resolver *resolver;
	atomic_uint refs;	/* the tree, the wait for the answer, each asker */
	enum dns_type type;
	size_t len;		/* octets of name */
	char *name;		/* raw octets, lower case */
	char *text;		/* the same for libunbound: absolute, escaped */
	pthread_cond_t answered;

	bool done;		/* answer is there */
	struct dns_answer *answer;
	int64_t expires_ms;	/* CLOCK_MONOTONIC */
	size_t bytes;		/* what it weighs in the cache */
	struct question *next;	/* in the queue to the dispatcher */
	struct question *newer;	/* by last use, once done */
	struct question *older;
};

struct resolver {
	struct ub_ctx *unbound;	/* the dispatcher's alone, once it runs */
	pthread_t dispatcher;
	int wake_fd;		/* an eventfd: the queue has something, or stop is set */
	size_t max_entries;

	pthread_mutex_t lock;
	bool stop;		/* the dispatcher is to end */
	void *tree;		/* all questions, see tsearch(3) */
	struct question *queue;	/* for the dispatcher, newest first */
	struct question *newest; /* answered ones by last use */
	struct question *oldest;
	size_t under_way;	/* questions without answer */
	size_t entries;		/* questions with answer */
	size_t bytes;		/* and their weight */
};

/*
 * Names
 */

/* escaped_name - a name as libunbound reads it
 * All but the plainest octets become \DDD, so none has a meaning of its own. */
static char *
escaped_name(TALLOC_CTX *ctx, const char *name, size_t len)
{
	char *text = mem_array(ctx, char, 4 * DNS_NAME_MAX + 2);
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (name[i] != '\0' && strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.",
		    name[i]) != NULL)
			text[n++] = name[i];
		else
			n += (size_t)snprintf(text + n, 5, "\\%03u",
			    (unsigned int)(unsigned char)name[i]);
	}
	text[n++] = '.';
	text[n] = '\0';
	return text;
}

/*
 * Answers
 */

/* new_answer - an answer without records */
static struct dns_answer *
new_answer(TALLOC_CTX *ctx, enum dns_status status, const char *problem)
{
	struct dns_answer *answer = mem_new(ctx, struct dns_answer);

	answer->status = status;
	answer->problem = problem == NULL ? NULL : mem_strdup(answer, problem);
	return answer;
}

/* no_records - the answer where no record of a set could be read
 * A host name that no host can have is as good as none. Other data that is malformed says
 * that the server is in error, which is not the same as "there is none". */
static struct dns_answer *
no_records(TALLOC_CTX *ctx, enum dns_type type)
{
	if (type == DNS_MX || type == DNS_PTR)
		return new_answer(ctx, DNS_NODATA, NULL);
	return new_answer(ctx, DNS_FAILURE, "malformed record");
}

/* read_records - the records of a result; what is malformed is left out */
static struct dns_answer *
read_records(TALLOC_CTX *ctx, enum dns_type type, const struct ub_result *result)
{
	struct dns_answer *answer = new_answer(ctx, DNS_OK, NULL);
	unsigned int n = 0;
	size_t i;

	while (result->data[n] != NULL)
		n++;
	answer->records = mem_array(answer, struct dns_record, n);
	for (i = 0; i < n; i++)
		if (result->len[i] >= 0 && dns_record_read(answer, type,
		    (const unsigned char *)result->data[i], (size_t)result->len[i],
		    &answer->records[answer->count]))
			answer->count++;
	if (answer->count > 0)
		return answer;
	talloc_free(answer);
	return no_records(ctx, type);
}

/* rcode_name - an error of DNS for the log */
static const char *
rcode_name(int rcode)
{
	static const char *const names[] = {
		"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
	};

	if (rcode >= 0 && (size_t)rcode < sizeof(names) / sizeof(names[0]))
		return names[rcode];
	return "DNS error";
}

/* read_result - libunbound's result as an answer */
static struct dns_answer *
read_result(TALLOC_CTX *ctx, enum dns_type type, const struct ub_result *result)
{
	struct dns_answer *answer;

	if (result->bogus)
		return new_answer(ctx, DNS_FAILURE,
		    result->why_bogus != NULL ? result->why_bogus : "DNSSEC validation failed");
	if (result->rcode == RCODE_NXDOMAIN)
		answer = new_answer(ctx, DNS_NXDOMAIN, NULL);
	else if (result->rcode != RCODE_OK)
		answer = new_answer(ctx, DNS_FAILURE, rcode_name(result->rcode));
	else if (result->havedata)
		answer = read_records(ctx, type, result);
	else
		answer = new_answer(ctx, DNS_NODATA, NULL);
	answer->secure = result->secure != 0;
	answer->ttl = result->ttl > 0 ? (uint32_t)result->ttl : 0;
	return answer;
}

/* answer_bytes - what an answer weighs */
static size_t
answer_bytes(const struct dns_answer *answer)
{
	size_t i, bytes = sizeof(*answer) + answer->count * sizeof(*answer->records);

	for (i = 0; i < answer->count; i++)
		bytes += answer->records[i].len;
	return bytes;
}

/* copy_answer - a copy that belongs to an asker */
static struct dns_answer *
copy_answer(TALLOC_CTX *ctx, const struct dns_answer *from)
{
	struct dns_answer *to = new_answer(ctx, from->status, from->problem);
	size_t i;

	to->secure = from->secure;
	to->ttl = from->ttl;
	to->count = from->count;
	if (from->count == 0)
		return to;
	to->records = mem_memdup(to, from->records, from->count * sizeof(*from->records));
	for (i = 0; i < from->count; i++)
		to->records[i].data = mem_memdup(to, from->records[i].data,
		    from->records[i].len + 1);
	return to;
}

/* keep_ms - how long an answer is kept */
static int64_t
keep_ms(const struct dns_answer *answer)
{
	int64_t ms = (int64_t)answer->ttl * 1000;
	int64_t max = answer->status == DNS_OK ? KEEP_MAX : KEEP_NEGATIVE_MAX;

	if (answer->status == DNS_FAILURE || answer->status == DNS_TIMEOUT)
		return KEEP_FAILURE;
	return ms < KEEP_MIN ? KEEP_MIN : ms > max ? max : ms;
}

/*
 * Questions
 */

/* question_new - a question with one reference, for the tree */
static struct question *
question_new(struct resolver *resolver, const char *name, size_t len, enum dns_type type)
{
	struct question *question = mem_new(NULL, struct question);
	pthread_condattr_t attributes;
	size_t i;

	question->resolver = resolver;
	atomic_init(&question->refs, 1);
	question->type = type;
	question->len = len;
	question->name = mem_strndup(question, name, len);
	for (i = 0; i < len; i++)
		question->name[i] = text_lower(name[i]);
	question->text = escaped_name(question, question->name, len);

	/* Deadlines are on the clock that nobody sets. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&question->answered, &attributes);
	pthread_condattr_destroy(&attributes);
	return question;
}

/* question_free - the end of a question */
static void
question_free(struct question *question)
{
	pthread_cond_destroy(&question->answered);
	talloc_free(question);
}

/* question_ref, question_unref - take and give back a reference */
static void
question_ref(struct question *question)
{
	atomic_fetch_add(&question->refs, 1);
}

static void
question_unref(struct question *question)
{
	if (atomic_fetch_sub(&question->refs, 1) == 1)
		question_free(question);
}

/* question_compare - the order of the tree */
static int
question_compare(const void *a, const void *b)
{
	const struct question *one = a, *other = b;

	if (one->type != other->type)
		return one->type < other->type ? -1 : 1;
	if (one->len != other->len)
		return one->len < other->len ? -1 : 1;
	return memcmp(one->name, other->name, one->len);
}

/* list_add, list_remove - the list of answered questions by last use (lock held) */
static void
list_add(struct resolver *resolver, struct question *question)
{
	question->newer = NULL;
	question->older = resolver->newest;
	if (resolver->newest != NULL)
		resolver->newest->newer = question;
	else
		resolver->oldest = question;
	resolver->newest = question;
}

static void
list_remove(struct resolver *resolver, struct question *question)
{
	if (question->newer != NULL)
		question->newer->older = question->older;
	else
		resolver->newest = question->older;
	if (question->older != NULL)
		question->older->newer = question->newer;
	else
		resolver->oldest = question->newer;
}

/* forget - take an answered question out of the cache (lock held) */
static void
forget(struct resolver *resolver, struct question *question)
{
	list_remove(resolver, question);
	resolver->entries--;
	resolver->bytes -= question->bytes;
	tdelete(question, &resolver->tree, question_compare);
	question_unref(question);
}

/* find - a question under way or answered lately, or NULL (lock held) */
static struct question *
find(struct resolver *resolver, const char *name, size_t len, enum dns_type type)
{
	struct question *question, key = { .type = type, .len = len };
	char folded[DNS_NAME_MAX];
	void *node;
	size_t i;

	for (i = 0; i < len; i++)
		folded[i] = text_lower(name[i]);
	key.name = folded;
	node = tfind(&key, &resolver->tree, question_compare);
	if (node == NULL)
		return NULL;
	question = *(struct question **)node;
	if (!question->done)
		return question;
	if (question->expires_ms <= clock_ms()) {
		forget(resolver, question);
		return NULL;
	}
	list_remove(resolver, question);
	list_add(resolver, question);
	return question;
}

/* wake - make the dispatcher look at the queue */
static void
wake(const struct resolver *resolver)
{
	uint64_t one = 1;

	/* It can only fail where the counter is full, and then it is awake. */
	while (write(resolver->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* start - a new question on its way to the dispatcher, or NULL (lock held) */
static struct question *
start(struct resolver *resolver, const char *name, size_t len, enum dns_type type)
{
	struct question *question;

	if (resolver->under_way >= UNDER_WAY_MAX)
		return NULL;
	question = question_new(resolver, name, len, type);
	mem_check(tsearch(question, &resolver->tree, question_compare));
	resolver->under_way++;
	question_ref(question);
	question->next = resolver->queue;
	resolver->queue = question;
	wake(resolver);
	return question;
}

/* finish - note the answer to a question and tell who waits
 * Takes over the reference of the wait. The answer is a child of question. */
static void
finish(struct question *question, struct dns_answer *answer)
{
	struct resolver *resolver = question->resolver;

	pthread_mutex_lock(&resolver->lock);
	question->answer = answer;
	question->bytes = answer_bytes(answer) + sizeof(*question);
	question->expires_ms = clock_ms() + keep_ms(answer);
	question->done = true;
	resolver->under_way--;
	resolver->entries++;
	resolver->bytes += question->bytes;
	list_add(resolver, question);
	while (resolver->entries > resolver->max_entries ||
	    resolver->bytes > resolver->max_entries * BYTES_PER_ENTRY)
		forget(resolver, resolver->oldest);
	pthread_cond_broadcast(&question->answered);
	pthread_mutex_unlock(&resolver->lock);
	question_unref(question);
}

/*
 * The dispatcher
 */

/* on_result - libunbound has an answer (called by ub_process) */
static void
on_result(void *data, int error, struct ub_result *result)
{
	struct question *question = data;
	struct dns_answer *answer;

	if (error != 0 || result == NULL)
		answer = new_answer(question, DNS_FAILURE, ub_strerror(error));
	else
		answer = read_result(question, question->type, result);
	ub_resolve_free(result);
	finish(question, answer);
}

/* hand_over - give a list of new questions to libunbound, oldest first */
static void
hand_over(struct resolver *resolver, struct question *newest)
{
	struct question *oldest = NULL, *next;
	int error;

	for (; newest != NULL; newest = next) {
		next = newest->next;
		newest->next = oldest;
		oldest = newest;
	}
	for (; oldest != NULL; oldest = next) {
		next = oldest->next;
		error = ub_resolve_async(resolver->unbound, oldest->text, (int)oldest->type,
		    CLASS_IN, oldest, on_result, NULL);
		if (error != 0)
			finish(oldest, new_answer(oldest, DNS_FAILURE, ub_strerror(error)));
	}
}

/* dispatch - the dispatcher thread */
static void *
dispatch(void *data)
{
	struct resolver *resolver = data;
	struct pollfd fds[2] = {
		{ .fd = resolver->wake_fd, .events = POLLIN },
		{ .fd = ub_fd(resolver->unbound), .events = POLLIN },
	};
	struct question *queue;
	uint64_t count;
	bool stop = false;

	while (!stop) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents != 0 &&
		    read(resolver->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			continue;
		pthread_mutex_lock(&resolver->lock);
		queue = resolver->queue;
		resolver->queue = NULL;
		stop = resolver->stop;
		pthread_mutex_unlock(&resolver->lock);
		if (stop)
			break;
		hand_over(resolver, queue);
		if (fds[1].revents != 0)
			ub_process(resolver->unbound);
	}
	return NULL;
}

/*
 * Construction and destruction
 */

/* What libunbound is told beside the servers. */
static const struct {
	const char *name;
	const char *value;
	bool needed;		/* an older libunbound that does not know it is no use */
} unbound_options[] = {
	/* A resolver on this host is the usual case, not a mistake. */
	{ "do-not-query-localhost:", "no", true },

	/* It would answer for private networks by itself; they are real networks
	 * to a mail server, and their names come from the servers configured. */
	{ "unblock-lan-zones:", "yes", true },
	{ "insecure-lan-zones:", "yes", false },

	/* A library's defaults are 16 sockets: 16 silent servers would block all. */
	{ "outgoing-range:", "512", true },
	{ "outgoing-num-tcp:", "32", true },
	{ "num-queries-per-thread:", UNDER_WAY_MAX_TEXT, true },

	/* A forwarder that was away for a minute must be noticed when it is back,
	 * not up to 15 minutes later. libunbound 1.22 does not probe one that it takes for
	 * dead before it forgets that, whatever the second option says. */
	{ "infra-cache-max-rtt:", "2000", false },
	{ "infra-keep-probing:", "yes", false },
	{ "infra-host-ttl:", "5", false },
};

/* Zones that it would answer for by itself, too, and which the option for private
 * networks leaves out: homes and laboratories do send mail (RFC 8375, RFC 6761). */
static const char *const unbound_zones[] = { "home.arpa.", "test." };

/* set_options - tell libunbound of the table above; returns an error or NULL */
static const char *
set_options(TALLOC_CTX *ctx, struct ub_ctx *unbound)
{
	size_t i;
	int error;

	for (i = 0; i < sizeof(unbound_options) / sizeof(unbound_options[0]); i++) {
		error = ub_ctx_set_option(unbound, unbound_options[i].name,
		    unbound_options[i].value);
		if (error != 0 && unbound_options[i].needed)
			return mem_printf(ctx, "libunbound does not take \"%s %s\": %s",
			    unbound_options[i].name, unbound_options[i].value,
			    ub_strerror(error));
	}
	return NULL;
}

/* set_servers - tell libunbound whom to ask; returns an error or NULL */
static const char *
set_servers(TALLOC_CTX *ctx, struct ub_ctx *unbound, const char **servers)
{
	size_t i;
	int error;

	if (servers == NULL || servers[0] == NULL) {
		error = ub_ctx_resolvconf(unbound, NULL);
		return error == 0 ? NULL : mem_printf(ctx, "cannot use /etc/resolv.conf: %s",
		    ub_strerror(error));
	}
	for (i = 0; servers[i] != NULL; i++) {
		error = ub_ctx_set_fwd(unbound, servers[i]);
		if (error != 0)
			return mem_printf(ctx,
			    "\"%s\" is no address of a DNS server (ADDRESS or ADDRESS@PORT)",
			    servers[i]);
	}
	return NULL;
}

/* new_unbound - a libunbound context, ready for the dispatcher, or NULL and an error */
static struct ub_ctx *
new_unbound(TALLOC_CTX *ctx, const struct resolver_options *options, const char **error_r)
{
	struct ub_ctx *unbound = ub_ctx_create();
	size_t i;
	int error;

	if (unbound == NULL) {
		*error_r = mem_strdup(ctx, "libunbound cannot start");
		return NULL;
	}
	/* What it would write to standard error also comes as answers. */
	ub_ctx_debugout(unbound, NULL);
	*error_r = set_options(ctx, unbound);
	if (*error_r == NULL)
		*error_r = set_servers(ctx, unbound, options->servers);
	if (*error_r == NULL && options->trust_anchor != NULL) {
		error = ub_ctx_add_ta_file(unbound, options->trust_anchor);
		if (error != 0)
			*error_r = mem_printf(ctx, "cannot use the trust anchor %s: %s",
			    options->trust_anchor, ub_strerror(error));
	}
	if (*error_r == NULL && (error = ub_ctx_async(unbound, 1)) != 0)
		*error_r = mem_printf(ctx, "libunbound: %s", ub_strerror(error));
	/* Last, because this makes the options final: what a file of keys holds is read now. */
	for (i = 0; *error_r == NULL && i < sizeof(unbound_zones) / sizeof(unbound_zones[0]); i++)
		if ((error = ub_ctx_zone_remove(unbound, unbound_zones[i])) != 0)
			*error_r = options->trust_anchor != NULL
			    ? mem_printf(ctx,
				  "the trust anchor %s cannot be read, or holds no DNSSEC keys",
				  options->trust_anchor)
			    : mem_printf(ctx, "libunbound: %s", ub_strerror(error));
	if (*error_r == NULL)
		return unbound;
	ub_ctx_delete(unbound);
	return NULL;
}

/* start_dispatcher - start the thread with all signals blocked
 * libunbound's worker is its child and inherits that: signals are for the first
 * thread of the daemon only. */
static int
start_dispatcher(struct resolver *resolver)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&resolver->dispatcher, NULL, dispatch, resolver);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* free_node - free a question when the whole tree goes */
static void
free_node(void *question)
{
	question_free(question);
}

/* resolver_delete - talloc's destructor
 * libunbound calls no callback for what is still under way, so references that
 * wait for an answer are nobody's, and nobody asks any more. */
static int
resolver_delete(struct resolver *resolver)
{
	pthread_mutex_lock(&resolver->lock);
	resolver->stop = true;
	pthread_mutex_unlock(&resolver->lock);
	wake(resolver);
	pthread_join(resolver->dispatcher, NULL);
	ub_ctx_delete(resolver->unbound);
	tdestroy(resolver->tree, free_node);
	close(resolver->wake_fd);
	pthread_mutex_destroy(&resolver->lock);
	return 0;
}

struct resolver *
resolver_new(TALLOC_CTX *ctx, const struct resolver_options *options, const char **error_r)
{
	struct resolver *resolver = mem_new(ctx, struct resolver);
	int error;

	*error_r = NULL;
	resolver->max_entries = options->cache_entries;
	resolver->unbound = new_unbound(ctx, options, error_r);
	if (resolver->unbound == NULL) {
		talloc_free(resolver);
		return NULL;
	}
	pthread_mutex_init(&resolver->lock, NULL);
	resolver->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = resolver->wake_fd < 0 ? errno : start_dispatcher(resolver);
	if (error != 0) {
		*error_r = mem_printf(ctx, "cannot start the resolver: %s", strerror(error));
		if (resolver->wake_fd >= 0)
			close(resolver->wake_fd);
		pthread_mutex_destroy(&resolver->lock);
		ub_ctx_delete(resolver->unbound);
		talloc_free(resolver);
		return NULL;
	}
	talloc_set_destructor(resolver, resolver_delete);
	return resolver;
}

/*
 * Asking
 */

/* wait_for - wait until a question is answered or the deadline has passed (lock held) */
static bool
wait_for(struct resolver *resolver, struct question *question, int64_t deadline_ms)
{
	struct timespec until = { .tv_sec = (time_t)(deadline_ms / 1000),
	    .tv_nsec = (long)(deadline_ms % 1000) * 1000000 };

	while (!question->done)
		if (pthread_cond_timedwait(&question->answered, &resolver->lock, &until) != 0)
			break;
	return question->done;
}

/* find_or_start - the question to wait for, with a reference for the asker (lock held)
 * NULL where there is none, with the answer to give instead. */
static struct question *
find_or_start(struct resolver *resolver, const char *name, size_t len, enum dns_type type,
    bool late, enum dns_status *status_r, const char **problem_r)
{
	struct question *question = find(resolver, name, len, type);

	if (question == NULL && late) {
		*status_r = DNS_TIMEOUT;
		*problem_r = "no time left to ask";
		return NULL;
	}
	if (question == NULL)
		question = start(resolver, name, len, type);
	if (question == NULL) {
		*status_r = DNS_FAILURE;
		*problem_r = "too many DNS questions under way";
		return NULL;
	}
	question_ref(question);
	return question;
}

struct dns_answer *
resolver_ask(struct resolver *resolver, TALLOC_CTX *ctx, const char *name, size_t name_len,
    enum dns_type type, int64_t deadline_ms)
{
	enum dns_status status = DNS_TIMEOUT;
	const char *problem = "no answer in time";
	struct question *question;
	struct dns_answer *answer;
	bool late, done = false;

	if (!dns_name_ok(name, name_len))
		return new_answer(ctx, DNS_FAILURE, "no name that DNS could know");
	late = deadline_ms <= clock_ms();
	pthread_mutex_lock(&resolver->lock);
	question = find_or_start(resolver, name, name_len, type, late, &status, &problem);
	if (question != NULL)
		done = late ? question->done : wait_for(resolver, question, deadline_ms);
	pthread_mutex_unlock(&resolver->lock);

	answer = done ? copy_answer(ctx, question->answer) : new_answer(ctx, status, problem);
	if (question != NULL)
		question_unref(question);
	return answer;
}

void
resolver_prefetch(struct resolver *resolver, const char *name, size_t name_len,
    enum dns_type type)
{
	if (!dns_name_ok(name, name_len))
		return;
	pthread_mutex_lock(&resolver->lock);
	if (find(resolver, name, name_len, type) == NULL)
		start(resolver, name, name_len, type);
	pthread_mutex_unlock(&resolver->lock);
}
