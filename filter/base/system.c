/*
 * system.c - what of this system was found when the program was built
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/base/system.h"

#ifdef HAVE_SYS_EVENTFD_H
#define WAKEUPS	"eventfd"
#else
#define WAKEUPS	"pipe"
#endif
#ifdef HAVE_STRUCT_UCRED_PID
#define PEERS	"SO_PEERCRED"
#elif defined(HAVE_GETPEEREID)
#define PEERS	"getpeereid"
#else
#define PEERS	"not known"
#endif
#ifdef HAVE_LINUX_SOCK_DIAG_H
#define OWNERS	"sock_diag"
#else
#define OWNERS	"not known"
#endif
#ifdef HAVE_SYS_PRCTL_H
#define HIDING	"prctl"
#elif defined(HAVE_SYS_PROCCTL_H)
#define HIDING	"procctl"
#else
#define HIDING	"core limit alone"
#endif
#ifdef HAVE_MEMFD_CREATE
#define MEMORY	"memfd"
#else
#define MEMORY	"unnamed files"
#endif

const char *
system_ways(void)
{
	return "wakeups " WAKEUPS ", users of unix sockets " PEERS ", users of TCP peers " OWNERS
	       ", keys hidden by " HIDING ", copies in " MEMORY;
}
