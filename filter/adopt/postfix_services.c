/*
 * postfix_services.c - what a service of master.cf is for
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <strings.h>

#include "filter/adopt/inside.h"

bool
adopt_takes_mail_back(const struct postfix_service *service)
{
	const struct postfix_parameter *filter = postfix_override(service, "content_filter");
	const struct postfix_parameter *auth = postfix_override(service, "smtpd_sasl_auth_enable");

	return service->port != 25 && (auth == NULL || strcasecmp(auth->value, "yes") != 0) &&
	    (postfix_is_loopback(service) || (filter != NULL && filter->value[0] == '\0'));
}
