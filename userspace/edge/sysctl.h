/* SPDX-License-Identifier: MIT */
/* Settings of the kernel, as files of /proc and /sys. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The number that a file begins with; −1 when there is none. */
int64_t sysctl_number(const char *path);

/* The first line of a file, as far as it fits; "" when it cannot be read. */
void sysctl_text(const char *path, char *buf, size_t cap);
