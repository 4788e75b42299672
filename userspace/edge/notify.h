/* SPDX-License-Identifier: MIT */
/* Telling the service manager how we are (sd_notify's datagrams), without libsystemd. */
#pragma once

#include <stdint.h>

/* All of these: 0 when sent or when no manager listens, else -errno. Never block. */
int notify_ready(void);
int notify_stopping(void);
int notify_watchdog(void);
int notify_status(const char *sentence); /* one line, shown by the manager */

/* How often the manager wants notify_watchdog at least; 0 = it does not. Half of it is wise. */
int64_t notify_watchdog_ms(void);
