/* SPDX-License-Identifier: MIT */
/*
 * Egress sockets: named here, opened for each worker by itself, shared by all its outputs that
 * need the same. Closing a packet socket takes the kernel many milliseconds, so they are kept when
 * a worker dies, and for some time when no output needs them. A packet socket (packet(7)) or raw
 * socket (raw(7)) belongs to an egress interface, a UDP socket to an interface or none, a source
 * address or none, and a DF policy, a socket for Registers to a source address.
 */
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/io_uring.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/relay.h"

#define SEND_BUFFER  (8 << 20)
#define LONG_BUFFER  (8 << 20) /* for frames that do not fit a slot of the ring */
#define RING_ENTRIES 256       /* sends of a worker that are submitted at a time */

static struct sock_filter no_packet = { BPF_RET | BPF_K, 0, 0, 0 };
static const struct sock_fprog takes_nothing = { 1, &no_packet };

static bool socket_same(const struct egress_socket *a, const struct egress_socket *b)
{
	return !a->is_dead && a->kind == b->kind && a->df == b->df && a->ifindex == b->ifindex &&
	       ip4_equal(a->source, b->source);
}

/* There are few: some for each egress interface and literal source, however many outputs. */
uint32_t sockets_name(struct relay *r, const struct resolved_output *o, bool df)
{
	struct egress_socket want = { .kind = o->wire.kind, .ifindex = o->ifindex };
	uint32_t vacant = UINT32_MAX;

	if (want.kind == EGRESS_UDP) {
		want.df = df;
		want.source = o->literal;
	} else if (want.kind == EGRESS_REGISTER) {
		want.source = o->literal;
	}
	for (uint32_t i = 0; i < r->n_sockets; i++) {
		if (r->sockets[i].state == SOCKET_FREE) {
			if (vacant == UINT32_MAX)
				vacant = i;
		} else if (r->sockets[i].state == SOCKET_NAMED &&
			   socket_same(&r->sockets[i], &want)) {
			r->sockets[i].users++;
			return i;
		}
	}
	if (vacant == UINT32_MAX) {
		if (r->n_sockets == WORKER_OUTPUTS)
			return UINT32_MAX;
		vacant = r->n_sockets++;
	}
	want.users = 1;
	want.state = SOCKET_NAMED;
	r->sockets[vacant] = want;
	return vacant;
}

void sockets_unuse(struct relay *r, uint32_t name)
{
	if (name != UINT32_MAX && --r->sockets[name].users == 0)
		r->sockets[name].idle_since = (struct mtime){ 0 }; /* workers_sockets_tick */
}

void sockets_interface_gone(struct relay *r, uint32_t ifindex)
{
	for (uint32_t i = 0; i < r->n_sockets; i++)
		if (r->sockets[i].state == SOCKET_NAMED && r->sockets[i].ifindex == ifindex)
			r->sockets[i].is_dead = true;
}

static int open_packet(const struct egress_socket *s)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_ifindex = (int)s->ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0 receives nothing */
	int yes = 1;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof(yes))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int bind_device(int fd, uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	if (!ifindex)
		return 0;
	if (!if_indextoname(ifindex, name))
		return -errno;
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name)) ? -errno : 0;
}

static int open_udp(const struct egress_socket *s)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int yes = 1, none = 0, pmtu = s->df ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT, err;
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = s->source.net };

	if (fd < 0)
		return -errno;
	err = bind_device(fd, s->ifindex);
	/* without IP_RECVERR the kernel hides that a device refused a datagram; nobody reads, so
	 * what comes in needs no room */
	if (!err && (setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &pmtu, sizeof(pmtu)) ||
		     setsockopt(fd, IPPROTO_IP, IP_RECVERR, &yes, sizeof(yes)) ||
		     setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &none, sizeof(none))))
		err = -errno;
	if (!err && s->source.net &&
	    (setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes)) ||
	     setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &yes, sizeof(yes)) ||
	     bind(fd, (struct sockaddr *)&from, sizeof(from))))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int open_raw(const struct egress_socket *s)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	struct ip_mreqn out = { .imr_ifindex = (int)s->ifindex };
	int yes = 1, err;

	if (fd < 0)
		return -errno;
	err = bind_device(fd, s->ifindex);
	if (!err && setsockopt(fd, IPPROTO_IP, IP_RECVERR, &yes, sizeof(yes))) /* as above */
		err = -errno;
	if (!err && s->ifindex && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* For PIM Registers: sends only, though the kernel would give it all PIM that comes to this host.
 */
static int open_register(const struct egress_socket *s)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_PIM);
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = s->source.net };
	int yes = 1, pmtu = IP_PMTUDISC_DONT, ttl = 64, err = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &takes_nothing, sizeof(takes_nothing)) ||
	    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &pmtu, sizeof(pmtu)) ||
	    setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)) ||
	    setsockopt(fd, IPPROTO_IP, IP_RECVERR, &yes, sizeof(yes)) || /* as above */
	    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes)) ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

int sockets_open(const struct relay *r, uint32_t name)
{
	const struct egress_socket *s = &r->sockets[name];
	int size = SEND_BUFFER, fd = -EINVAL;

	switch ((enum egress_kind)s->kind) {
	case EGRESS_PACKET:
		fd = open_packet(s);
		break;
	case EGRESS_UDP:
		fd = open_udp(s);
		break;
	case EGRESS_RAW:
		fd = open_raw(s);
		break;
	case EGRESS_REGISTER:
		fd = open_register(s);
		break;
	}
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

/*
 * An io_uring that can do nothing but sendmsg, whatever happens to the worker that is to use it.
 * It becomes the worker's when that enables it. -errno where io_uring is forbidden.
 */
int sockets_open_ring(struct io_uring_params *p)
{
	struct io_uring_restriction only[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SENDMSG },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_ENABLE_RINGS },
	};
	int fd;

	*p = (struct io_uring_params){
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};
	fd = (int)syscall(__NR_io_uring_setup, RING_ENTRIES, p);
	if (fd < 0 && errno == EINVAL) { /* before Linux 6.1 */
		*p = (struct io_uring_params){ .flags = IORING_SETUP_R_DISABLED };
		fd = (int)syscall(__NR_io_uring_setup, RING_ENTRIES, p);
	}
	if (fd < 0)
		return -errno;
	if (syscall(__NR_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, only, 2)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* --- receive sockets ---------------------------------------------------------------------------
 */

/*
 * An AF_XDP socket and the memory of its packet buffers. Main registers them, so that the worker
 * needs no capability for it (pinned pages count against RLIMIT_MEMLOCK without CAP_IPC_LOCK), and
 * the worker maps the same memory. *memory is set on success.
 */
int sockets_open_xsk(uint32_t frames, int *memory)
{
	struct xdp_umem_reg reg = {
		.len = (uint64_t)frames * WORKER_CHUNK,
		.chunk_size = WORKER_CHUNK,
	};
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	int mem = memfd_create("mcr-buffers", MFD_CLOEXEC);
	void *map = MAP_FAILED;
	int err = 0;

	if (fd < 0 || mem < 0 || ftruncate(mem, (off_t)reg.len))
		err = -errno;
	if (!err) {
		map = mmap(NULL, reg.len, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
		err = map == MAP_FAILED ? -errno : 0;
	}
	reg.addr = (uintptr_t)map;
	if (!err && setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		err = -errno;
	if (map != MAP_FAILED)
		munmap(map, reg.len);
	if (!err) {
		*memory = mem;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	if (mem >= 0)
		close(mem);
	return err;
}

/*
 * A packet socket, bound to its interface. It outlives its workers, the first of which makes its
 * ring: while there is none, `filter` lets nothing in and counts what comes; so every frame is
 * counted once, always. -ENETDOWN while the interface is down: the kernel takes the socket in when
 * it comes up, but not one whose ring is being made just then, and that one would stay deaf.
 */
int sockets_open_packet(uint32_t ifindex, int filter)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)ifindex,
	};
	int yes = 1, err = 0, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int room = LONG_BUFFER;
	socklen_t len = sizeof(err);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (!err)
		return fd;
	close(fd);
	return -err;
}

/* Lets the socket share the flows of its interface with a sibling, or be the first to do so. The
 * kernel chooses the group's number: another daemon may have one on the same interface. */
int sockets_join_fanout(int fd, int sibling)
{
	int group = PACKET_FANOUT_HASH << 16 | PACKET_FANOUT_FLAG_UNIQUEID << 16, present = 0;
	socklen_t len = sizeof(present);

	if (sibling >= 0 && getsockopt(sibling, SOL_PACKET, PACKET_FANOUT, &present, &len) == 0 &&
	    present)
		group = PACKET_FANOUT_HASH << 16 | (present & 0xffff);
	return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof(group)) ? -errno : 0;
}

/*
 * A socket that has the rule's unicast address and port (or ESP) on its interface and takes nothing
 * in. Shared with the one that a change of the rule replaces. Fails when the address is not ours,
 * or somebody else has the port: then the stack has its own answer.
 */
int sockets_claim(const struct rule *rule, uint32_t ifindex)
{
	bool is_udp = rule->protocol == IPPROTO_UDP;
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = rule->group.net,
		.sin_port = htons(is_udp ? rule->port : 0),
	};
	int yes = 1, err, fd;

	if (is_udp && !rule->port)
		return -EINVAL;
	fd = socket(AF_INET, (is_udp ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC, rule->protocol);
	if (fd < 0)
		return -errno;
	err = bind_device(fd, ifindex);
	if (!err &&
	    (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &takes_nothing, sizeof(takes_nothing)) ||
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	     bind(fd, (struct sockaddr *)&at, sizeof(at))))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static void *close_it(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

/*
 * Closes a packet socket that nobody else has any more. The kernel waits twice for all its cores
 * then, which takes some 10 ms each; with hundreds of them main would be away for seconds.
 */
void sockets_close_packet(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
	err = pthread_create(&thread, &attr, close_it, (void *)(intptr_t)fd);
	pthread_attr_destroy(&attr);
	if (err)
		close(fd);
}
