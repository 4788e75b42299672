/* SPDX-License-Identifier: MIT */
/*
 * What of a host's setup keeps packets from arriving, or makes them slow: facts in, findings out.
 * Each has a command that sets it right.
 */
#pragma once

#include "base/host.h"

enum doctor_severity {
	DOCTOR_NOTE,	/* could be faster */
	DOCTOR_WARNING, /* fails under some circumstances, or is much slower */
	DOCTOR_ERROR,	/* something does not work */
};

/* Code, severity, and why it matters. */
#define DOCTOR_HOST_CODES(X)                                                                       \
	X(bpffs, ERROR, "Without pins nothing goes on forwarding while mcrd is restarted.")        \
	X(btf, ERROR, "Copies that drivers refuse can only be counted with it.")                   \
	X(kernel, WARNING, "Replication in the kernel and large frames need a newer one.")         \
	X(af_xdp, WARNING, "Workers take packets from packet sockets instead, at a lower rate.")   \
	X(io_uring, NOTE, "Workers send by a system call for each run of packets.")                \
	X(bpf_jit, WARNING, "The classifier runs for each frame, and is interpreted.")             \
	X(clock_source, WARNING, "Reading the clock takes a system call or a slow device.")        \
	X(files, WARNING, "Joins, workers and outputs take descriptors, and fail without.")        \
	X(max_memberships, WARNING, "A program fails to join more groups by one socket.")          \
	X(max_msf, WARNING, "A program fails to join more sources of one group by one socket.")    \
	X(optmem, WARNING, "Joins fail, as their records find no room in the socket.")             \
	X(other_router, WARNING, "It may forward what mcrd forwards: receivers get all twice.")

#define DOCTOR_PORT_CODES(X)                                                                       \
	X(missing, WARNING, "What names it waits for it, and forwards nothing there.")             \
	X(down, ERROR, "Nothing comes in or goes out there.")                                      \
	X(no_carrier, ERROR, "Nothing comes in or goes out there.")                                \
	X(no_address, ERROR, "Queries go out from its address: no host there is asked.")           \
	X(no_multicast, WARNING, "It is marked as one that cannot multicast: joins may be void.")  \
	X(rp_filter, WARNING,                                                                      \
	  "The kernel drops messages of routers there whose address it routes elsewhere.")         \
	X(igmp_version, WARNING, "Joins of single sources become joins of any source.")            \
	X(mtu_output, WARNING, "Packets that are longer are dropped, or sent in fragments.")       \
	X(xdp_foreign, WARNING, "The classifier cannot be there: packets take the slow way.")      \
	X(xdp_generic, WARNING, "The classifier runs behind the driver, which is much slower.")    \
	X(no_redirects, WARNING, "What the kernel replicates onto it would be lost.")              \
	X(gro_forwarding, NOTE, "Packet sockets get each datagram alone, at a lower rate.")        \
	X(udp_gso, NOTE, "Runs of packets are cut in software, at a lower rate.")                  \
	X(bridge_querier, WARNING,                                                                 \
	  "It forgets after some minutes where receivers are, as nobody asks them.")

enum doctor_code {
#define X(name, severity, why) DOCTOR_##name,
	DOCTOR_HOST_CODES(X)
	DOCTOR_PORT_CODES(X)
#undef X
	DOCTOR__COUNT,
};

struct doctor_finding {
	enum doctor_code code;
	char where[HOST_NAME_LEN]; /* an interface, or "" */
	char what[320];
	char remedy[320]; /* for a shell */
};

/* What is found, at most DOCTOR__COUNT; how many. */
unsigned doctor_host(const struct host *h, struct doctor_finding out[DOCTOR__COUNT]);
unsigned doctor_port(const struct host *h, const struct host_port *p,
		     struct doctor_finding out[DOCTOR__COUNT]);

const char *doctor_code_name(enum doctor_code code);
const char *doctor_why(enum doctor_code code);
enum doctor_severity doctor_severity(enum doctor_code code);
const char *doctor_severity_name(enum doctor_severity s);
