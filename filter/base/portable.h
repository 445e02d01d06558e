/*
 * portable.h - for config.h with PORTABLE_ONLY: forget what Linux alone has
 *
 * It makes the other way of filter/base testable on Linux (configure --disable-linux).
 */
#ifndef FILTER_BASE_PORTABLE_H
#define FILTER_BASE_PORTABLE_H

#undef HAVE_DECL_SO_PEERGROUPS
#undef HAVE_DECL_TCP_QUICKACK
#undef HAVE_GETPEEREID
#undef HAVE_LINUX_SOCK_DIAG_H
#undef HAVE_MEMFD_CREATE
#undef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
#undef HAVE_STRUCT_UCRED_PID
#undef HAVE_SYS_EVENTFD_H
#undef HAVE_SYS_PRCTL_H

#define HAVE_DECL_SO_PEERGROUPS	0
#define HAVE_DECL_TCP_QUICKACK	0
#define HAVE_GETPEEREID		1	/* peer.c has one for this */

#endif
