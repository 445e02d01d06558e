/*
 * nothing.c - a libmilter program that does nothing: the floor of all filters
 *
 *	nothing SOCKET		negotiates nothing away: every command is answered
 *	nothing -n SOCKET	negotiates as countersign does for submission
 *	nothing -a SOCKET	negotiates away every step that can be: only the end of message is left
 *
 * What it costs is the cost of libmilter and of the system calls, for a filter
 * that looks at every step of a message.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STEPS_ALIKE	(SMFIP_HDR_LEADSPC | SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOUNKNOWN | \
			    SMFIP_NR_HDR | SMFIP_NR_BODY)
#define STEPS_AWAY	(SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NORCPT | \
			    SMFIP_NODATA | SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY | \
			    SMFIP_NOUNKNOWN)

static unsigned long steps_away;	/* set before smfi_main(), then only read */

static sfsistat
nothing_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long unused2,
    unsigned long unused3, unsigned long *actions_r, unsigned long *steps_r,
    unsigned long *unused2_r, unsigned long *unused3_r)
{
	(void)ctx, (void)unused2, (void)unused3;
	*actions_r = actions & (SMFIF_ADDHDRS | SMFIF_CHGHDRS);
	*steps_r = steps & steps_away;
	*unused2_r = *unused3_r = 0;
	return SMFIS_CONTINUE;
}

static sfsistat
nothing_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *address)
{
	(void)ctx, (void)name, (void)address;
	return SMFIS_CONTINUE;
}

static sfsistat
nothing_word(SMFICTX *ctx, char *word)
{
	(void)ctx, (void)word;
	return SMFIS_CONTINUE;
}

static sfsistat
nothing_path(SMFICTX *ctx, char **words)
{
	(void)ctx, (void)words;
	return SMFIS_CONTINUE;
}

static sfsistat
nothing_header(SMFICTX *ctx, char *name, char *value)
{
	(void)ctx, (void)name, (void)value;
	return steps_away != 0 ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat
nothing_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	(void)ctx, (void)bytes, (void)len;
	return steps_away != 0 ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat
nothing_step(SMFICTX *ctx)
{
	(void)ctx;
	return SMFIS_CONTINUE;
}

static sfsistat
nothing_unknown(SMFICTX *ctx, const char *command)
{
	(void)ctx, (void)command;
	return SMFIS_CONTINUE;
}

int
main(int argc, char **argv)
{
	static char name[] = "nothing";
	struct smfiDesc description = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS,
		.xxfi_connect = nothing_connect,
		.xxfi_helo = nothing_word,
		.xxfi_envfrom = nothing_path,
		.xxfi_envrcpt = nothing_path,
		.xxfi_header = nothing_header,
		.xxfi_eoh = nothing_step,
		.xxfi_body = nothing_body,
		.xxfi_eom = nothing_step,
		.xxfi_abort = nothing_step,
		.xxfi_close = nothing_step,
		.xxfi_unknown = nothing_unknown,
		.xxfi_data = nothing_step,
		.xxfi_negotiate = nothing_negotiate,
	};

	if (argc > 1 && strcmp(argv[1], "-n") == 0)
		steps_away = STEPS_ALIKE;
	else if (argc > 1 && strcmp(argv[1], "-a") == 0)
		steps_away = STEPS_AWAY;
	if (argc != (steps_away != 0 ? 3 : 2)) {
		fprintf(stderr, "Usage: nothing [-n | -a] SOCKET (as smfi_setconn takes it)\n");
		return 2;
	}
	if (smfi_register(description) != MI_SUCCESS ||
	    smfi_setconn(argv[argc - 1]) != MI_SUCCESS ||
	    smfi_opensocket(true) != MI_SUCCESS) {
		fprintf(stderr, "nothing: cannot listen on %s\n", argv[argc - 1]);
		return 1;
	}
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
