/* SPDX-License-Identifier: MIT */
/* What the files of the multicast routing table tell each other. */
#pragma once

#include "engine/mrib.h"

/* NULL when there is no such port. */
const struct mrib_port *mrib_port_of(const struct mrib *m, uint16_t port);
