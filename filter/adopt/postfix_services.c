/*
 * postfix_services.c - what a service of master.cf is for
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

bool
adopt_takes_mail_back(const struct postfix_service *service)
{
	const struct postfix_parameter *filter = postfix_override(service, "content_filter");
	const struct postfix_parameter *auth = postfix_override(service, "smtpd_sasl_auth_enable");

	return service->port != 25 && (auth == NULL || strcasecmp(auth->value, "yes") != 0) &&
	    (postfix_is_loopback(service) || (filter != NULL && filter->value[0] == '\0'));
}

void
adopt_back_service(struct adopt *adopt, const struct postfix *postfix,
    const struct postfix_service *service, const char *name)
{
	const struct postfix_parameter *own = postfix_override(service, name);
	const char *directory = adopt_shell(adopt, postfix->directory);
	const char *key = mem_printf(adopt, "%s/%s", service->name, service->type);

	if (own == NULL)
		adopt_back(adopt, "postconf -c %s -PX %s", directory,
		    adopt_shell(adopt, mem_printf(adopt, "%s/%s", key, name)));
	else if (strpbrk(own->written, " \t") == NULL)
		adopt_back(adopt, "postconf -c %s -P %s", directory,
		    adopt_shell(adopt, mem_printf(adopt, "%s/%s=%s", key, name, own->written)));
	else /* -P takes no blanks */
		adopt_back(adopt, "postconf -c %s -Me %s", directory,
		    adopt_shell(adopt, mem_printf(adopt, "%s=%s", key, service->text)));
}
