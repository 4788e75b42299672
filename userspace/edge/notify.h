/* SPDX-License-Identifier: MIT */
/* Telling the service manager how we are (sd_notify's datagrams), without libsystemd. */
#pragma once

/* All of these: 0 when sent or when no manager listens, else -errno. Never block. */
int notify_ready(void);
int notify_stopping(void);
int notify_watchdog(void);
