/* SPDX-License-Identifier: MIT */
/* The worker role: `mcrd --role worker`, started by mcrd only. */
#pragma once

/* Runs until the channel to main ends. Returns the exit status. */
int worker_main(void);
