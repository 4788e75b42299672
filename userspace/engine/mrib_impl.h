/* SPDX-License-Identifier: MIT */
/* What the files of the multicast routing table tell each other. */
#pragma once

#include "engine/mrib.h"

/* NULL when there is no such port. */
const struct mrib_port *mrib_port_of(const struct mrib *m, uint16_t port);

/* Whether there is no boundary for the group. */
bool mrib_may_pass(const struct mrib *m, uint16_t port, struct ip4 group);

/* Whether a limit has kept this, or its (*,G), out of the table lately. */
bool mrib_was_refused(const struct mrib *m, struct sg sg);
