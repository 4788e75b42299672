/* SPDX-License-Identifier: MIT */
/* mcrd: options, roles, the life of the daemon from its lock to its last pin. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/router.h"
#include "edge/lock.h"
#include "edge/log.h"
#include "edge/notify.h"
#include "edge/sandbox.h"
#include "edge/statefile.h"
#include "worker/worker.h"

#define CONFIG_FILE_MAX (64u << 20)
#define TICK_MS		1000
#define KEPT_MS		15000 /* by then hosts have told a proxy, too, what they want */

struct options {
	const char *config, *instance, *socket_path, *state_dir, *bpffs, *role;
	bool ignore_state, log_json, detach;
};

static void usage(FILE *to)
{
	fprintf(to, "usage: mcrd [--config FILE] [--instance NAME] [--socket-path PATH]\n"
		    "            [--state-dir DIR] [--bpffs DIR] [--ignore-state] [--log-json]\n"
		    "       mcrd --detach [--instance NAME] [--socket-path PATH] [--bpffs DIR]\n"
		    "       mcrd --version | --help\n");
}

/* −1 to go on, else the exit status. */
static int options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "instance", required_argument, NULL, 'i' },
		{ "socket-path", required_argument, NULL, 's' },
		{ "state-dir", required_argument, NULL, 'd' },
		{ "bpffs", required_argument, NULL, 'b' },
		{ "ignore-state", no_argument, NULL, 'g' },
		{ "log-json", no_argument, NULL, 'j' },
		{ "detach", no_argument, NULL, 't' },
		{ "role", required_argument, NULL, 'r' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'i':
			o->instance = optarg;
			break;
		case 's':
			o->socket_path = optarg;
			break;
		case 'd':
			o->state_dir = optarg;
			break;
		case 'b':
			o->bpffs = optarg;
			break;
		case 'r':
			o->role = optarg;
			break;
		case 'g':
			o->ignore_state = true;
			break;
		case 'j':
			o->log_json = true;
			break;
		case 't':
			o->detach = true;
			break;
		case 'v':
			printf("mcrd %s\n", MCR_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "mcrd: '%s' is too much\n", argv[optind]);
	usage(stderr);
	return 2;
}

/* --- where things are --------------------------------------------------------------------------
 */

__attribute__((format(printf, 4, 5))) static int path_set(char *to, size_t cap, struct diag *d,
							  const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, cap, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= cap)
		return diag_set(d, -ENAMETOOLONG, E_RANGE, "", "the path %.100s… is too long", to);
	return 0;
}

static int paths_set(struct relay *r, const struct options *o, struct diag *d)
{
	struct relay_paths *p = &r->paths;
	size_t len;
	int err;

	if (o->socket_path)
		err = path_set(p->socket, sizeof(p->socket), d, "%s", o->socket_path);
	else
		err = path_set(p->socket, sizeof(p->socket), d, "/run/mcr/%s.sock", r->instance);
	len = strlen(p->socket);
	if (len > 5 && strcmp(p->socket + len - 5, ".sock") == 0)
		len -= 5;
	if (!err)
		err = path_set(p->socket_ro, sizeof(p->socket_ro), d, "%.*s-ro.sock", (int)len,
			       p->socket);
	if (!err && o->state_dir)
		err = path_set(p->state_dir, sizeof(p->state_dir), d, "%s", o->state_dir);
	else if (!err)
		err = path_set(p->state_dir, sizeof(p->state_dir), d, "/var/lib/mcr/%s",
			       r->instance);
	if (!err)
		err = path_set(p->pins, sizeof(p->pins), d, "%s/mcr/%s",
			       o->bpffs ? o->bpffs : "/sys/fs/bpf", r->instance);
	/* a bpffs has no dots in names */
	for (char *dot = p->pins + strlen(p->pins) - strlen(r->instance); !err && *dot; dot++)
		if (*dot == '.')
			*dot = ':';
	return err;
}

/* Makes a directory and those above it; they may exist. */
static int directory_make(const char *path, mode_t mode, struct diag *d)
{
	char at[PATH_MAX];
	size_t n = (size_t)snprintf(at, sizeof(at), "%s", path);

	for (size_t i = 1; i <= n && n < sizeof(at); i++) {
		if (at[i] != '/' && at[i] != '\0')
			continue;
		at[i] = '\0';
		if (mkdir(at, mode) && errno != EEXIST)
			return diag_set(d, -errno, E_IO, "", "cannot make the directory %s: %s", at,
					strerror(errno));
		at[i] = path[i];
	}
	return 0;
}

static int directories_make(const struct relay *r, struct diag *d)
{
	char dir[sizeof(r->paths.socket)];
	char *slash;
	int err = directory_make(r->paths.state_dir, 0755, d);

	if (!err && chmod(r->paths.state_dir, 0700))
		err = diag_set(d, -errno, E_IO, "", "cannot use %s: %s", r->paths.state_dir,
			       strerror(errno));
	snprintf(dir, sizeof(dir), "%s", r->paths.socket);
	slash = strrchr(dir, '/');
	if (!err && slash && slash != dir) {
		*slash = '\0';
		err = directory_make(dir, 0755, d);
	}
	return err;
}

/* --- configuration -----------------------------------------------------------------------------
 */

static int config_from_file(struct config **out, const char *path, struct diag *d)
{
	size_t len;
	char *text;
	int err = file_read(path, CONFIG_FILE_MAX, &text, &len, d);

	if (err)
		return err;
	err = config_read(out, text, len, d);
	free(text);
	return err;
}

/* The startup file: the one that was named, or the usual one if it is there. */
static int config_startup(struct relay *r, const struct options *o, struct config **out,
			  struct diag *d)
{
	static const char usual[] = "/etc/mcr/mcrd.json5";
	bool is_default_instance = !o->instance || strcmp(o->instance, "mcrd") == 0;
	const char *path = o->config;

	if (!path && is_default_instance) {
		path = usual;
		snprintf(r->paths.config, sizeof(r->paths.config), "%s", usual);
	}
	if (!path || (!o->config && access(path, F_OK) != 0)) {
		*out = config_new();
		return *out ? 0 : -ENOMEM;
	}
	return config_from_file(out, path, d);
}

static void config_path(struct relay *r, const char *path)
{
	char *whole = realpath(path, NULL);

	if (whole)
		snprintf(r->paths.config, sizeof(r->paths.config), "%.255s", whole);
	free(whole);
}

/* What was running when the daemon ended last; false when there is nothing of use. */
static bool config_saved(struct relay *r, struct config **out)
{
	struct diag d = { 0 };
	size_t len;
	char *text;
	int err = statefile_load(r->paths.state_dir, "state.json", &text, &len, &d);

	if (err == -ENOENT)
		return false;
	if (!err) {
		err = config_read(out, text, len, &d);
		free(text);
	}
	if (err)
		snprintf(r->state_note, sizeof(r->state_note),
			 "the saved state is not used: %.200s", d.what);
	else if (d.what[0])
		log_warning(LOG_F_supervisor, "saved state: %s", d.what);
	if (err)
		log_err(LOG_F_supervisor, "%s", r->state_note);
	return !err;
}

static void log_config_error(const char *path, const struct diag *d)
{
	log_err(LOG_F_rules, "%s:%u:%u: %s%s%s", path, d->line, d->column, d->where,
		d->where[0] ? ": " : "", d->what);
}

/* SIGHUP: the startup file again, by its difference to what runs. A bad file changes nothing. */
static void on_reload(void *arg, struct mtime now, int signo)
{
	struct relay *r = arg;
	struct config *next = NULL;
	struct diag d = { 0 };
	cJSON *changes;

	(void)now;
	(void)signo;
	if (!r->paths.config[0]) {
		log_warning(LOG_F_supervisor, "reload: the daemon was started without a file");
		return;
	}
	if (config_from_file(&next, r->paths.config, &d)) {
		log_config_error(r->paths.config, &d);
		return;
	}
	changes = cJSON_CreateArray();
	if (relay_commit(r, next, false, changes, &d)) {
		log_err(LOG_F_rules, "reload: %s", d.what);
		config_free(next);
	} else {
		log_notice(LOG_F_supervisor, "reload: %d changes", cJSON_GetArraySize(changes));
		relay_persist(r);
	}
	cJSON_Delete(changes);
}

static void on_stop(void *arg, struct mtime now, int signo)
{
	struct relay *r = arg;

	(void)now;
	r->takes_all = signo == SIGINT;
	log_notice(LOG_F_supervisor, "signal %d: ending", signo);
	loop_stop(r->loop);
}

/* --- interfaces and time -----------------------------------------------------------------------
 */

static bool address_in(const struct ip4 *list, unsigned n, struct ip4 addr)
{
	for (unsigned i = 0; i < n; i++)
		if (ip4_equal(list[i], addr))
			return true;
	return false;
}

/* The loop guard's addresses: what this host has now, as a difference to what it had. */
static void local_addresses(struct relay *r)
{
	static struct ip4 now[MCR_MAX_LOCAL];
	unsigned n = 0;

	for (const struct netif *ni = netif_next(r->netifs, NULL); ni;
	     ni = netif_next(r->netifs, ni))
		for (unsigned i = 0; i < ni->n_addrs && n < MCR_MAX_LOCAL; i++)
			if (!address_in(now, n, ni->addrs[i]))
				now[n++] = ni->addrs[i];
	for (unsigned i = 0; i < r->n_locals; i++)
		if (!address_in(now, n, r->locals[i]))
			plane_local_del(r->plane, r->locals[i]);
	for (unsigned i = 0; i < n; i++)
		if (!address_in(r->locals, r->n_locals, now[i]))
			plane_local_add(r->plane, now[i]);
	memcpy(r->locals, now, n * sizeof(now[0]));
	r->n_locals = n;
}

static void on_interface(void *arg, struct mtime now, const struct netif *ni, bool gone)
{
	struct relay *r = arg;
	struct port *p = port_find(r, ni->name);
	bool is_other = p && (gone || ni->ifindex != p->ifindex);

	(void)now;
	local_addresses(r);
	if (gone) {
		sockets_interface_gone(r, ni->ifindex);
		plane_sets_interface_gone(r->plane, ni->ifindex);
	}
	if (p)
		port_interface(r, p, ni, gone);
	relay_resolve_interface(r, ni->name, is_other);
	router_interface(r, ni, gone);
}

static void on_tick(void *arg, struct mtime now)
{
	struct relay *r = arg;

	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w))
		worker_tick(w, now);
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		if (r->ports[i].name[0])
			port_tick(r, &r->ports[i], now);
	rows_tick(r);
	plane_sets_tick(r->plane);
	workers_sockets_tick(r, now);
	account_tick(r, now);
	datapaths_tick(r);
	merging_tick(r);
	router_tick(r);
	notify_watchdog();
	membership_tick(r->joins);
	if (r->kept.n && mtime_before(mtime_add(r->started, mtime_ms(KEPT_MS)), now))
		notify_kept_release(&r->kept);
	if (!r->is_persisted)
		relay_persist(r);
	loop_timer_set(r->tick, mtime_add(now, mtime_ms(TICK_MS)));
}

/* --- start and end -----------------------------------------------------------------------------
 */

/* What needs privileges that are given up later; workers inherit it. None of it is vital. */
static void limits_raise(void)
{
	struct rlimit files;
	struct rlimit memlock = { RLIM_INFINITY, RLIM_INFINITY };

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_MEMLOCK, &memlock); /* workers pin their packet buffers */
	/* a ring holds 80 ms of 100,000 packets/s: a busy host must not keep a worker off that long
	 */
	setpriority(PRIO_PROCESS, 0, -10);
}

static int relay_open(struct relay *r, struct diag *d)
{
	int err;

	r->ethtool.fd = -1;
	err = loop_new(&r->loop);
	if (!err)
		err = loop_timer_new(r->loop, &r->tick, on_tick, r);
	if (!err)
		err = membership_new(&r->joins);
	if (err)
		return diag_set(d, err, E_KERNEL, "", "cannot start: %s", strerror(-err));
	r->sockets = calloc(WORKER_OUTPUTS, sizeof(*r->sockets));
	r->config = config_new();
	if (!r->sockets || !r->config)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	r->started = loop_clock();
	err = netif_open(&r->netifs, r->loop, on_interface, r);
	if (err)
		return diag_set(d, err, E_KERNEL, "", "route netlink: %s", strerror(-err));
	err = merging_open(r);
	if (err)
		return diag_set(d, err, E_KERNEL, "", "ethtool: %s", strerror(-err));
	err = plane_open(&r->plane, r->paths.pins, r->instance, d);
	if (!err)
		r->n_locals = plane_locals(r->plane, r->locals, MCR_MAX_LOCAL);
	if (!err && rows_init(r))
		err = diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	return err;
}

static int relay_listen(struct relay *r, struct diag *d)
{
	const char *group = r->config->control_group[0] ? r->config->control_group : NULL;
	struct ctlsock_limits readers = ctlsock_defaults;
	int err = ctlsock_open(&r->ctl, r->loop, r->paths.socket, 0660, group, false,
			       &ctlsock_defaults, requests_line, r, d);

	readers.request_bytes = 64 << 10;
	if (!err)
		err = ctlsock_open(&r->ctl_ro, r->loop, r->paths.socket_ro, 0666, NULL, true,
				   &readers, requests_line, r, d);
	return err;
}

/* What is to run: the saved state, or the startup file. In force before anybody may ask. */
static int relay_restore(struct relay *r, const struct options *o, struct config *startup,
			 struct diag *d)
{
	struct config *next = startup, *saved = NULL;
	int err;

	if (!o->ignore_state && config_saved(r, &saved)) {
		config_free(startup);
		next = saved;
	}
	/* workers are laid out by the settings that run: so that they need not be laid out again */
	err = config_inherit(r->config, next);
	if (err) {
		config_free(next);
		return diag_set(d, err, E_LIMIT, "", "out of memory");
	}
	local_addresses(r);
	err = relay_commit(r, next, false, NULL, d);
	if (err)
		config_free(next);
	plane_sweep(r->plane, port_uses_ifindex, r);
	rows_inherit(r);
	return err;
}

/* Rules that run in the kernel go on doing so, and the next start takes them over; unless the end
 * was asked for by SIGINT, as by a key. */
static void relay_close(struct relay *r)
{
	bool stays;

	requests_drop(r);
	ctlsock_close(r->ctl);
	ctlsock_close(r->ctl_ro);
	/* a start that failed leaves what it found */
	if (!r->is_ready)
		stays = r->plane && plane_is_inherited(r->plane);
	else
		stays = !r->takes_all && relay_leave(r);
	router_free(r, stays);
	relay_clear(r, stays);
	workers_stop_all(r);
	merging_close(r);
	if (stays)
		plane_leave(r->plane);
	else
		plane_close(r->plane);
	if (r->takes_all) {
		membership_leave_all(r->joins);
		notify_kept_release(&r->kept);
	}
	membership_free(r->joins);
	free(r->kept.names);
	netif_close(r->netifs);
	loop_timer_free(r->tick);
	rows_fini(r);
	free(r->sockets);
	config_free(r->config);
	loop_free(r->loop);
	free(r);
}

static int relay_run(struct relay *r, const struct options *o, struct config *startup,
		     struct diag *d)
{
	int err = relay_open(r, d);

	if (err) {
		config_free(startup);
		return err;
	}
	/* from here on there is something to be put away, whenever the signal comes */
	err = loop_signal_add(r->loop, SIGTERM, on_stop, r);
	if (!err)
		err = loop_signal_add(r->loop, SIGINT, on_stop, r);
	if (!err)
		err = loop_signal_add(r->loop, SIGHUP, on_reload, r);
	if (err) {
		config_free(startup);
		return err;
	}
	err = relay_restore(r, o, startup, d);
	r->is_ready = !err;
	if (!err)
		err = relay_listen(r, d);
	if (!err)
		err = sandbox_main(d);
	if (!err) /* not before: each thread has capabilities of its own */
		err = offload_new(&r->offload, r->loop);
	if (err)
		return err;
	relay_persist(r);
	merging_tick(r);
	log_notice(LOG_F_supervisor, "mcrd %s, instance %s: %zu rules, listening at %s",
		   MCR_VERSION, r->instance, r->n_live, r->paths.socket);
	notify_ready();
	loop_timer_set(r->tick, mtime_add(loop_clock(), mtime_ms(TICK_MS)));
	return loop_run(r->loop);
}

/* Takes out of the kernel what an earlier daemon of this instance has left forwarding there. */
static int detach_main(const struct options *o)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct diag d = { 0 };
	char lock_path[160];
	pid_t holder;
	int lock = -1, err;

	if (!r)
		return 1;
	snprintf(r->instance, sizeof(r->instance), "%s", o->instance ? o->instance : "mcrd");
	err = paths_set(r, o, &d);
	if (!err) {
		snprintf(lock_path, sizeof(lock_path), "%s.lock", r->paths.socket);
		lock = lock_take(lock_path, &holder, &d);
		err = lock < 0 ? lock : plane_remove(r->paths.pins, &d);
	}
	if (err)
		log_err(LOG_F_supervisor, "%s", d.what);
	lock_drop(lock);
	free(r);
	return err ? 1 : 0;
}

static int daemon_main(const struct options *o)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct config *startup = NULL;
	struct diag d = { 0 };
	char lock_path[160];
	pid_t holder;
	int lock = -1, err;

	if (!r)
		return 1;
	notify_kept_take(&r->kept); /* first of all: they have the lowest numbers */
	err = config_startup(r, o, &startup, &d);
	if (err) {
		log_config_error(o->config ? o->config : r->paths.config, &d);
		free(r);
		return 1;
	}
	if (o->config)
		config_path(r, o->config);
	snprintf(r->instance, sizeof(r->instance), "%s",
		 o->instance		? o->instance
		 : startup->instance[0] ? startup->instance
					: "mcrd");
	err = paths_set(r, o, &d);
	if (!err)
		err = directories_make(r, &d);
	if (!err) {
		snprintf(lock_path, sizeof(lock_path), "%s.lock", r->paths.socket);
		lock = lock_take(lock_path, &holder, &d);
		err = lock < 0 ? lock : 0;
	}
	limits_raise();
	if (!err)
		err = relay_run(r, o, startup, &d);
	else
		config_free(startup);
	if (err)
		log_err(LOG_F_supervisor, "%s", d.what[0] ? d.what : strerror(-err));
	notify_stopping();
	relay_close(r);
	lock_drop(lock);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	int status = options_read(&o, argc, argv);

	if (status >= 0)
		return status;
	log_set_json(o.log_json);
	log_set_ident("mcrd");
	/* what a large request took goes back to the system: by default the bounds grow with use */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	if (o.role && strcmp(o.role, "worker") == 0)
		return worker_main();
	if (o.role || (o.instance && !config_is_instance_name(o.instance))) {
		fprintf(stderr,
			"mcrd: an instance name has 1 to 31 letters, digits, dots, underscores and "
			"dashes, and begins with a letter or digit\n");
		return 2;
	}
	return o.detach ? detach_main(&o) : daemon_main(&o);
}
