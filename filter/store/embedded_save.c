/*
 * embedded_save.c - the embedded store's file: writing it
 *
 * A shard's lock stops mail, so it is held for some dozen subjects at a time, which are copied as
 * they are; then they are put into text, which takes longer and so lets in who waits for the lock.
 * A message that is charged meanwhile may be in the file with one of its parties and not yet with
 * another: only a crash makes the file be read that was not written last, and then a minute's
 * messages are lost with both. The order of the file is that of use, so that loading restores it.
 *
 * Thread rule: save_lock serialises savers and is never taken with a shard's lock held.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/replace_file.h"
#include "filter/store/embedded.h"
#include "filter/store/embedded_table.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define MARKS_A_LINE	100
#define SLICE		32	/* subjects that are copied with the lock held once */
#define MAX_NUMBER	20	/* digits of a number of 64 bits */

/* What is being saved. */
struct saving {
	struct embedded *table;
	int64_t now;
	FILE *stream;
	uint64_t lines;
	uint64_t sum;
};

/* --- text --- */

/* Lines on their way to the file. */
struct text {
	char *octets;		/* a talloc root */
	size_t len;
	size_t room;
	uint64_t lines;
};

/* text_reserve - room for so many octets more; where they go */
static char *
text_reserve(struct text *text, size_t more)
{
	if (text->len + more > text->room) {
		text->room = 2 * text->room + more + 65536;
		text->octets = mem_check(talloc_realloc_size(NULL, text->octets, text->room));
	}
	return text->octets + text->len;
}

/* put_word - a word, and after it a space or the end of the line */
static void
put_word(struct text *text, const char *word, char behind)
{
	size_t len = strlen(word);
	char *at = text_reserve(text, len + 1);

	memcpy(at, word, len);
	at[len] = behind;
	text->len += len + 1;
}

/* put_number - the same with a number; most are small */
static void
put_number(struct text *text, uint64_t number, char behind)
{
	char digits[MAX_NUMBER], *first = digits + MAX_NUMBER;
	char *at = text_reserve(text, MAX_NUMBER + 1);
	size_t len;

	do {
		*--first = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	len = (size_t)(digits + MAX_NUMBER - first);
	memcpy(at, first, len);
	at[len] = behind;
	text->len += len + 1;
}

/* embedded_save_put_mark - the same with a mark, in 16 hexadecimal digits */
static void
embedded_save_put_mark(struct text *text, uint64_t mark, char behind)
{
	static const char hex[] = "0123456789abcdef";
	char *at = text_reserve(text, 17);

	for (int i = 0; i < 16; i++)
		at[i] = hex[mark >> (60 - 4 * i) & 15];
	at[16] = behind;
	text->len += 17;
}

/* embedded_save_end_line - the space after the last word becomes the end of the line */
static void
embedded_save_end_line(struct text *text)
{
	text->octets[text->len - 1] = '\n';
	text->lines++;
}

/* put_window - one line */
static void
put_window(struct text *text, struct subject *subject, struct counter *counter)
{
	struct window window;
	size_t last = WINDOW_SLOTS;

	table_window(subject, counter, &window);
	while (last > 1 && window.slots[last - 1] == 0)
		last--;
	put_word(text, subject->key, ' ');
	put_word(text, counter->field, ' ');
	put_number(text, (uint64_t)counter->width_ms, ' ');
	put_number(text, (uint64_t)window.head, ' ');
	for (size_t i = 0; i < last; i++)
		put_number(text, window.slots[i], ' ');
	embedded_save_end_line(text);
}

/* put_until - one line: a number of a counter that holds until a time */
static void
put_until(struct text *text, const char *word, const struct subject *subject,
    const struct counter *counter, uint64_t number, int64_t until)
{
	put_word(text, word, ' ');
	put_word(text, subject->key, ' ');
	put_word(text, counter->field, ' ');
	put_number(text, (uint64_t)counter->width_ms, ' ');
	put_number(text, number, ' ');
	put_number(text, (uint64_t)until, ' ');
	embedded_save_end_line(text);
}

/* put_marks - a set, MARKS_A_LINE a line: of a counter, or NULL: of the subject */
static void
put_marks(struct text *text, const char *word, const struct subject *subject,
    const struct counter *counter, const struct recent *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		if (i % MARKS_A_LINE == 0) {
			put_word(text, word, ' ');
			put_word(text, subject->key, ' ');
		}
		if (i % MARKS_A_LINE == 0 && counter != NULL) {
			put_word(text, counter->field, ' ');
			put_number(text, (uint64_t)counter->width_ms, ' ');
		}
		embedded_save_put_mark(text, set->marks[i].mark, ' ');
		put_number(text, (uint64_t)set->marks[i].seen, ' ');
		if (i % MARKS_A_LINE == MARKS_A_LINE - 1 || i + 1 == set->n)
			embedded_save_end_line(text);
	}
}

/* put_subject - all that counts of a subject as of now */
static void
put_subject(struct text *text, struct subject *subject, int64_t now)
{
	for (uint32_t i = 0; i < subject->n_counters; i++) {
		struct counter *counter = &table_counters(subject)[i];
		const struct counter_more *more = table_more(subject, counter);

		if (table_is_counting(counter, more, now)) {
			if (table_is_clients(counter))
				put_marks(text, "clients", subject, counter, &more->clients);
			else
				put_window(text, subject, counter);
		}
		if (more != NULL && more->raised_until > now)
			put_until(text, "raise", subject, counter, more->raised_max,
			    more->raised_until);
		if (more != NULL && more->base > 0 && more->base_until > now) {
			/* what Redis had counted; only of local mode */
			put_until(text, "base", subject, counter, more->base, more->base_until);
			put_marks(text, "included", subject, counter, &more->included);
		}
	}
	put_marks(text, "known", subject, NULL, &subject->known);
}

/* --- copying --- */

/* copy_marks - the set gets marks of its own, on ctx */
static void
copy_marks(TALLOC_CTX *ctx, struct recent *set)
{
	set->marks =
	    set->n == 0 ? NULL : mem_memdup(ctx, set->marks, set->n * sizeof(set->marks[0]));
	set->room = set->n;
}

/* copy_subject - for reading alone, on ctx; with the lock held */
static struct subject *
copy_subject(TALLOC_CTX *ctx, const struct subject *subject)
{
	uint32_t n = subject->n_counters;
	struct subject *copy =
	    mem_memdup(ctx, subject, subject->counters_at + n * sizeof(struct counter));

	copy_marks(ctx, &copy->known);
	if (copy->buckets != NULL)
		copy->buckets =
		    mem_memdup(ctx, copy->buckets, n * window_older_size(copy->bucket_width));
	if (copy->more == NULL)
		return copy;
	copy->more = mem_memdup(ctx, copy->more, n * sizeof(copy->more[0]));
	for (uint32_t i = 0; i < n; i++) {
		copy_marks(ctx, &copy->more[i].clients);
		copy_marks(ctx, &copy->more[i].included);
	}
	return copy;
}

/* Copies of some subjects. */
struct copies {
	TALLOC_CTX *ctx;	/* of the copies */
	struct subject **list;	/* a talloc root */
	size_t n;
	size_t room;
};

/* copy_slice - copy subjects from a bucket of the shard on; the bucket to go on with */
static size_t
copy_slice(struct copies *copies, struct shard *shard, size_t bucket)
{
	copies->n = 0;
	(void)pthread_mutex_lock(&shard->lock);
	for (; bucket < shard->n_buckets && copies->n < SLICE; bucket++) {
		for (const struct subject *subject = shard->buckets[bucket]; subject != NULL;
		    subject = subject->hash_next) {
			if (copies->n == copies->room) {
				copies->room = 2 * copies->room + 2 * SLICE;
				copies->list =
				    mem_grow(NULL, copies->list, struct subject *, copies->room);
			}
			copies->list[copies->n++] = copy_subject(copies->ctx, subject);
		}
	}
	(void)pthread_mutex_unlock(&shard->lock);
	return bucket;
}

/* --- saving --- */

/* The text of one subject. */
struct piece {
	uint64_t used;
	size_t at;
	size_t len;
};

/* The text of a shard. */
struct pieces {
	struct text text;
	struct piece *list;	/* a talloc root */
	size_t n;
	size_t room;
};

static int
by_use(const void *a, const void *b)
{
	const struct piece *one = a, *two = b;

	return (one->used > two->used) - (one->used < two->used);
}

/* put_piece - the text of one subject more */
static void
put_piece(struct pieces *pieces, struct subject *subject, int64_t now)
{
	struct piece *piece;

	if (pieces->n == pieces->room) {
		pieces->room = 2 * pieces->room + 1024;
		pieces->list = mem_grow(NULL, pieces->list, struct piece, pieces->room);
	}
	piece = &pieces->list[pieces->n++];
	piece->used = subject->used;
	piece->at = pieces->text.len;
	put_subject(&pieces->text, subject, now);
	piece->len = pieces->text.len - piece->at;
}

/* put_shard - the text of a shard, subject by subject */
static void
put_shard(struct pieces *pieces, struct shard *shard, int64_t now)
{
	struct copies copies = { 0 };

	for (size_t bucket = 0; bucket < shard->n_buckets;) {
		copies.ctx = mem_check(talloc_new(NULL));
		bucket = copy_slice(&copies, shard, bucket);
		for (size_t i = 0; i < copies.n; i++)
			put_piece(pieces, copies.list[i], now);
		talloc_free(copies.ctx);
	}
	talloc_free(copies.list);
}

/* write_text - some text, which counts in the sum */
static int
write_text(struct saving *s, const char *octets, size_t len)
{
	s->sum = hash_octets(s->sum, octets, len);
	return fwrite(octets, 1, len, s->stream) == len ? 0 : -1;
}

/* save_shard - write one shard, the longest unused subject first */
static int
save_shard(struct saving *s, struct shard *shard, int64_t now)
{
	struct pieces pieces = { 0 };
	int result = 0;

	put_shard(&pieces, shard, now);
	if (pieces.n > 0)
		qsort(pieces.list, pieces.n, sizeof(pieces.list[0]), by_use);
	for (size_t i = 0; i < pieces.n && result == 0; i++)
		if (pieces.list[i].len > 0)
			result = write_text(
			    s, pieces.text.octets + pieces.list[i].at, pieces.list[i].len);
	s->lines += pieces.text.lines;
	talloc_free(pieces.text.octets);
	talloc_free(pieces.list);
	return result;
}

/* put_blocks - one line each */
static void
put_blocks(struct text *text, TALLOC_CTX *ctx, struct blocks *blocks, int64_t now)
{
	size_t n = 0;
	const struct store_block *list = blocks == NULL ? NULL : blocks_list(blocks, ctx, now, &n);

	for (size_t i = 0; i < n; i++) {
		put_word(text, "block", ' ');
		put_word(text, quota_encode(ctx, list[i].account), ' ');
		put_number(text, (uint64_t)list[i].since, ' ');
		put_number(text, (uint64_t)list[i].until, ' ');
		put_word(text, quota_encode(ctx, list[i].by), ' ');
		put_word(text, quota_encode(ctx, list[i].reason), ' ');
		embedded_save_end_line(text);
	}
}

/* save_blocks - write the blocked accounts */
static int
save_blocks(struct saving *s, struct embedded *table, int64_t now)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	struct text text = { 0 };
	int result = 0;

	put_blocks(&text, tmp, table->blocks, now);
	talloc_free(tmp);
	s->lines += text.lines;
	if (text.len > 0)
		result = write_text(s, text.octets, text.len);
	talloc_free(text.octets);
	return result;
}

/* save_all - replace_file_fn: the whole file */
static int
save_all(FILE *stream, void *arg)
{
	struct saving *s = arg;
	int result = 0;

	s->stream = stream;
	if (fputs(TABLE_FILE_TITLE, stream) == EOF)
		return -1;
	for (size_t i = 0; i < s->table->n_shards && result == 0; i++)
		result = save_shard(s, &s->table->shards[i], s->now);
	if (result == 0)
		result = save_blocks(s, s->table, s->now);
	if (result == 0 &&
	    fprintf(stream, "end %" PRIu64 " %016" PRIx64 "\n", s->lines, s->sum) < 0)
		result = -1;
	return result;
}

/* save - replace the file; 0, or -1 and *error_r on ctx */
static int
save(struct embedded *table, TALLOC_CTX *ctx, int64_t now, const char **error_r)
{
	struct saving s = { .table = table, .now = now, .sum = HASH_START };
	const char *why = NULL;

	if (replace_file(ctx, table->file, save_all, &s, &why) == 0)
		return 0;
	*error_r = mem_printf(ctx, "cannot save the counters in %s: %s", table->file, why);
	return -1;
}

/* embedded_save - write the file if counts changed since the last time */
int
embedded_save(struct embedded *table, TALLOC_CTX *ctx, int64_t now, const char **error_r)
{
	int result = 1;

	if (table->file == NULL)
		return 0;
	(void)pthread_mutex_lock(&table->save_lock);
	if (!atomic_exchange(&table->dirty, false))
		result = 0;
	else if (save(table, ctx, now, error_r) < 0) {
		atomic_store(&table->dirty, true);
		result = -1;
	}
	(void)pthread_mutex_unlock(&table->save_lock);
	return result;
}

/* --- the same lines for another file than ours --- */

/* embedded_text - the lines of one subject */
char *
embedded_text(struct embedded *table, const char *key, int64_t now)
{
	struct place place = table_place(table, key);
	struct text text = { 0 };
	struct subject *subject;

	(void)pthread_mutex_lock(&place.shard->lock);
	subject = table_find(&place, key);
	if (subject != NULL)
		put_subject(&text, subject, now);
	(void)pthread_mutex_unlock(&place.shard->lock);
	if (text.len > 0)
		*text_reserve(&text, 1) = '\0';
	return text.octets;
}

/* give_copies - the lines of each */
static void
give_copies(const struct copies *copies, int64_t now, embedded_each_fn *each, void *arg)
{
	struct text text = { 0 };

	for (size_t i = 0; i < copies->n; i++) {
		text.len = 0;
		put_subject(&text, copies->list[i], now);
		if (text.len == 0)
			continue;
		*text_reserve(&text, 1) = '\0';
		each(arg, copies->list[i]->key, text.octets);
	}
	talloc_free(text.octets);
}

/* embedded_walk - the lines of some subjects */
bool
embedded_walk(struct embedded *table, struct embedded_cursor *cursor, int64_t now,
    embedded_each_fn *each, void *arg)
{
	struct copies copies = { .ctx = mem_check(talloc_new(NULL)) };
	struct shard *shard = &table->shards[cursor->shard];

	cursor->bucket = copy_slice(&copies, shard, cursor->bucket);
	if (cursor->bucket == shard->n_buckets)
		*cursor = (struct embedded_cursor){ .shard = cursor->shard + 1 };
	give_copies(&copies, now, each, arg);
	talloc_free(copies.ctx);
	talloc_free(copies.list);
	return cursor->shard < table->n_shards;
}
