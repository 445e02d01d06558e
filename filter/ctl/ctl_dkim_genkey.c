/*
 * ctl_dkim_genkey.c - countersignctl dkim genkey: a new key, and the record to publish
 *
 * Writes <selector>.txt, the record as it stands in a zone file, and <selector>.pem, the key,
 * where the daemon looks for it, with the owner and mode that the daemon asks for.
 * Each file appears whole or not at all: it is written under a name that the daemon
 * does not look at, and linked to its own, which fails if there is one already. The record comes
 * first, so that a key never exists without its record.
 *
 * Nothing signs with the new key before the daemon looks (reload).
 *
 * Threads: one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "filter/ctl/ctl_dkim.h"
#include "filter/dkim/key_record.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* What may be asked for with --type. */
static const struct key_kind {
	const char *word;
	const char *letter;	/* a selector that was not given begins with it */
	size_t bits;		/* 0: Ed25519 */
} kinds[] = {
	{ "rsa2048", "r", 2048 },
	{ "rsa4096", "r", 4096 },
	{ "ed25519", "e", 0 },
};

/* What is made, and where. */
struct order {
	struct ctl *ctl;
	const struct key_kind *kind;
	const char *domain;	/* normal form */
	const char *selector;
	const char *directory;	/* of all keys */
	const char *folder;	/* of the domain's */
	bool by_table;		/* a KeyTable must name the key before it is used */
	struct keyring_options reader;
	int fd;			/* folder, opened */
};

/* find_kind - the row of a --type; NULL: rsa2048 */
static const struct key_kind *
find_kind(const char *word)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (word == NULL || strcmp(kinds[i].word, word) == 0)
			return &kinds[i];
	ctl_wrong("--type %s is not known; known are rsa2048, rsa4096 and ed25519", word);
}

/* choose_selector - the one given, or today's */
static const char *
choose_selector(struct order *order, const char *given)
{
	time_t now = time(NULL);
	struct tm day;
	char text[32];

	if (given == NULL) {
		(void)gmtime_r(&now, &day);
		(void)strftime(text, sizeof(text), "%Y%m%d", &day);
		return mem_printf(order->ctl->memory, "%s%s", order->kind->letter, text);
	}
	/* DNS makes no difference between cases, the file system does */
	given = text_lower_copy(order->ctl->memory, given, strlen(given));
	if (!keyring_is_selector(given))
		ctl_wrong(
		    "--selector %s is not a selector; use letters, digits, hyphens and single dots",
		    given);
	return given;
}

/* place - where the key goes: --directory, or the configuration's keys */
static void
place(struct order *order, const char *given)
{
	struct ctl *ctl = order->ctl;
	const struct config *config = given == NULL ? ctl_config(ctl) :
	    ctl_config_if_any(ctl, "the owner of the directory decides who can read the key");

	order->by_table = config != NULL && config->dkim.key_table != NULL;
	order->directory = given != NULL ? given : config->keys;
	if (order->directory == NULL && order->by_table)
		ctl_fail(
		    "%s names a key_table; name the directory of the key with --directory",
		    ctl->file);
	if (order->directory == NULL)
		ctl_fail("%s names no keys; add for example: keys = \"" SYSCONFDIR "/countersign/keys\"",
		    ctl->file);
	order->folder = mem_printf(ctl->memory, "%s/%s", order->directory, order->domain);
	ctl_dkim_reader(ctl, config, order->directory, &order->reader);
}

/*
 * give - owner, group and mode of what this makes
 * Root's things are readable for the daemon's group; if that is root's too, they become the
 * daemon's.
 */
static bool
give(const struct order *order, int fd, mode_t alone, mode_t group)
{
	bool root = geteuid() == 0, shared = root && order->reader.gid != 0;

	/* the owner first: at no time may another group read it */
	return (!root || fchown(fd, shared ? 0 : order->reader.uid, order->reader.gid) == 0) &&
	    fchmod(fd, shared ? group : alone) == 0;
}

/* open_folder - open a directory, and make it if it is not there */
static int
open_folder(const struct order *order, const char *path)
{
	bool made = mkdir(path, 0700) == 0;
	int fd = made || errno == EEXIST ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || (made && !give(order, fd, 0700, 0750)))
		ctl_fail("%s: %s", path, strerror(errno));
	return fd;
}

/* count_keys - the daemon refuses a domain with more than it wants to sign with */
static void
count_keys(const struct order *order)
{
	int fd = dup(order->fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t n = 0;

	if (dir == NULL)
		ctl_fail("%s: %s", order->folder, strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		n += entry->d_name[0] != '.' && len > 4 &&
		    strcmp(entry->d_name + len - 4, ".pem") == 0;
	}
	(void)closedir(dir);
	if (n >= KEYRING_DOMAIN_KEYS && !order->by_table)
		ctl_fail("%s holds %zu keys already, and each signs; retire one first",
		    order->folder, n);
}

/* write_all - true if every octet is on the disk */
static bool
write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) == 0;
}

/* ctl_dkim_genkey_put - one file of the folder, whole or not at all; 0, or errno */
static int
ctl_dkim_genkey_put(const struct order *order, const char *name, const char *text, size_t len,
    mode_t alone, mode_t group)
{
	unsigned char octets[8];
	char *hidden;
	int fd, error = 0;

	if (RAND_bytes(octets, sizeof(octets)) != 1)
		ctl_fail("there is no randomness");
	hidden = mem_printf(order->ctl->memory, ".%s.", name);
	for (size_t i = 0; i < sizeof(octets); i++)
		hidden = mem_check(talloc_asprintf_append_buffer(hidden, "%02x", octets[i]));
	fd = openat(order->fd, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	if (!give(order, fd, alone, group) || !write_all(fd, text, len) ||
	    linkat(order->fd, hidden, order->fd, name, 0) != 0)
		error = errno;
	(void)close(fd);
	(void)unlinkat(order->fd, hidden, 0);
	return error != 0 || fsync(order->fd) == 0 ? error : errno;
}

/* put_both - record and key */
static void
put_both(const struct order *order, const char *record, const char *pem, size_t len)
{
	const char *txt_name = mem_printf(order->ctl->memory, "%s.txt", order->selector);
	const char *pem_name = mem_printf(order->ctl->memory, "%s.pem", order->selector);
	struct stat st;
	int error = 0;

	if (fstatat(order->fd, pem_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		ctl_fail(
		    "%s/%s exists and is not overwritten; name another selector with --selector",
		    order->folder, pem_name);
	error = ctl_dkim_genkey_put(order, txt_name, record, strlen(record), 0644, 0644);
	if (error != 0)
		ctl_fail("%s/%s: %s", order->folder, txt_name, strerror(error));
	error = ctl_dkim_genkey_put(order, pem_name, pem, len, 0600, 0640);
	if (error == 0)
		return;
	(void)unlinkat(order->fd, txt_name, 0);
	ctl_fail("%s/%s: %s", order->folder, pem_name, strerror(error));
}

/* make_key - a new pair of keys */
static EVP_PKEY *
make_key(const struct key_kind *kind)
{
	EVP_PKEY *key = kind->bits > 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", kind->bits) :
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (key == NULL)
		ctl_fail("OpenSSL cannot make a key of type %s", kind->word);
	return key;
}

/* write_key - the key and its record, into the two files */
static void
write_key(const struct order *order, EVP_PKEY *key, const char *zone)
{
	const char *record = mem_printf(order->ctl->memory, "; DKIM key %s of %s, type %s\n%s",
	    order->selector, order->domain, order->kind->word, zone);
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem = NULL;
	long len;

	if (bio == NULL || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		ctl_fail("OpenSSL cannot write the key");
	len = BIO_get_mem_data(bio, &pem);
	put_both(order, record, pem, (size_t)len);
	OPENSSL_cleanse(pem, (size_t)len);
	BIO_free(bio);
}

/* ctl_dkim_genkey_tell - what was made, and what is to be done with it */
static void
ctl_dkim_genkey_tell(const struct order *order, const char *zone)
{
	(void)printf("key     %s/%s.pem\nrecord  %s/%s.txt\n\nPublish this record:\n\n%s\n",
	    order->folder, order->selector, order->folder, order->selector, zone);
	if (order->by_table)
		(void)printf("Then add to the KeyTable:\n"
			     "  %s._domainkey.%s %s:%s:%s/%s.pem\n"
			     "and name %s._domainkey.%s in the SigningTable, and run:\n",
		    order->selector, order->domain, order->domain, order->selector, order->folder,
		    order->selector, order->selector, order->domain);
	else
		(void)printf("Then run:\n");
	(void)printf("  countersignctl reload\n  countersignctl dkim check %s --selector %s\n",
	    order->domain, order->selector);
}

/* ctl_dkim_genkey - a new key */
int
ctl_dkim_genkey(struct ctl *ctl, char **operands)
{
	const char *selector = ctl_option(ctl, "--selector");
	const char *type = ctl_option(ctl, "--type");
	const char *directory = ctl_option(ctl, "--directory");
	struct order order = { .ctl = ctl };
	struct keyring_public half;
	const char *name, *zone;
	EVP_PKEY *key;

	order.kind = find_kind(type);
	order.domain = ctl_dkim_domain(ctl, operands[0]);
	order.selector = choose_selector(&order, selector);
	name = key_record_name(ctl->memory, order.selector, order.domain);
	if (strlen(name) > DOMAIN_MAX)
		ctl_fail("%s is too long for DNS", name);
	place(&order, directory);
	(void)close(open_folder(&order, order.directory));
	order.fd = open_folder(&order, order.folder);
	count_keys(&order);
	key = make_key(order.kind);
	if (!keyring_encode_public(ctl->memory, key, &half))
		ctl_fail("OpenSSL cannot write the public half of the key");
	zone = key_record_zone(ctl->memory, order.selector, order.domain, &half);
	write_key(&order, key, zone);
	EVP_PKEY_free(key);
	(void)close(order.fd);
	if (!ctl->json)
		ctl_dkim_genkey_tell(&order, zone);
	return ctl_dkim_finish(ctl,
	    json_pack("{s:b,s:s,s:s,s:s,s:s+,s:s+,s:s,s:s,s:s}", "ok", true, "domain", order.domain,
		"selector", order.selector, "type", order.kind->word, "file", order.folder,
		mem_printf(ctl->memory, "/%s.pem", order.selector), "record_file", order.folder,
		mem_printf(ctl->memory, "/%s.txt", order.selector), "name", name, "record",
		key_record_text(ctl->memory, &half), "zone", zone),
	    EXIT_SUCCESS);
}
