/*
 * ctl_login.c - countersignctl login-failed: for servers that report wrong passwords by their log
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>

#include "filter/ctl/ctl.h"

static void
print_counted(const json_t *answer)
{
	(void)printf("%s: %s\n", ctl_text(answer, "account"),
	    json_is_true(json_object_get(answer, "counted")) ? "counted" : "not counted");
}

/* ctl_login_failed - count a wrong password */
int
ctl_login_failed(struct ctl *ctl, char **operands)
{
	json_t *request = json_pack("{s:s, s:i}", "command", "login report", "success", 0);

	ctl_set(request, "account", operands[0]);
	ctl_set(request, "client", operands[1]);
	return ctl_ask(ctl, request, print_counted);
}
