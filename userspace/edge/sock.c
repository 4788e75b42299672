/* SPDX-License-Identifier: MIT */
/* What can be asked of any socket. */
#include "edge/sock.h"

#include <linux/sock_diag.h>
#include <sys/socket.h>

uint64_t sock_lost(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) ? 0 : info[SK_MEMINFO_DROPS];
}
