/* SPDX-License-Identifier: MIT */
/* What can be asked of any socket. */
#pragma once

#include <stdint.h>

/* Packets that found no room in its queue since it was opened. */
uint64_t sock_lost(int fd);
