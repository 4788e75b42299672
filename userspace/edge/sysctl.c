/* SPDX-License-Identifier: MIT */
/* Reads small files of /proc and /sys. */
#include "edge/sysctl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void sysctl_text(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, cap - 1);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

int64_t sysctl_number(const char *path)
{
	char text[32], *end;
	long long n;

	sysctl_text(path, text, sizeof(text));
	n = strtoll(text, &end, 10);
	return end == text ? -1 : n;
}
