/* SPDX-License-Identifier: MIT */
/*
 * Counter rows. A rule gets one row and one for each output, the same in every worker's ledger.
 * When it goes, its rows cool down until all workers of its port have put the removal in force;
 * then what they counted is carried over to the worker and the rows are clean again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/relay.h"

static int pool_init(struct row_pool *pool, uint32_t cap)
{
	pool->free = malloc(cap * sizeof(*pool->free));
	if (!pool->free)
		return -ENOMEM;
	pool->cap = cap;
	while (pool->n_free < cap) {
		pool->free[pool->n_free] = cap - 1 - pool->n_free;
		pool->n_free++;
	}
	return 0;
}

int rows_init(struct relay *r)
{
	int err = pool_init(&r->rule_rows, MCR_MAX_RULES);

	return err ? err : pool_init(&r->output_rows, WORKER_OUTPUTS);
}

void rows_fini(struct relay *r)
{
	while (r->cooling) {
		struct cooling *c = r->cooling;

		r->cooling = c->next;
		free(c->output_rows);
		free(c);
	}
	free(r->rule_rows.free);
	free(r->output_rows.free);
}

int rows_take(struct relay *r, struct live_rule *live, unsigned n_outputs, struct diag *d)
{
	if (!r->rule_rows.n_free || r->output_rows.n_free < n_outputs)
		return diag_set(
			d, -E2BIG, E_LIMIT, "",
			"no counter rows left: %u outputs in use or just removed, %u is the "
			"limit; try again in a second",
			WORKER_OUTPUTS - r->output_rows.n_free, WORKER_OUTPUTS);
	live->output_rows = calloc(n_outputs ? n_outputs : 1, sizeof(*live->output_rows));
	live->sockets = calloc(n_outputs ? n_outputs : 1, sizeof(*live->sockets));
	if (!live->output_rows || !live->sockets) {
		free(live->output_rows);
		free(live->sockets);
		live->output_rows = NULL;
		live->sockets = NULL;
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	}
	live->row = r->rule_rows.free[--r->rule_rows.n_free];
	for (unsigned i = 0; i < n_outputs; i++)
		live->output_rows[i] = r->output_rows.free[--r->output_rows.n_free];
	plane_rule_stats_clear(r->plane, live->row);
	return 0;
}

void rows_cool(struct relay *r, struct live_rule *live)
{
	struct cooling *c = calloc(1, sizeof(*c));

	free(live->sockets);
	live->sockets = NULL;
	if (!c) { /* the rows are lost until the daemon restarts; their counts are not */
		live->output_rows = NULL;
		return;
	}
	*c = (struct cooling){
		.port = live->port,
		.row = live->row,
		.n_outputs = live->rule->n_outputs,
		.output_rows = live->output_rows,
		.since = loop_clock(),
		.next = r->cooling,
	};
	live->output_rows = NULL;
	r->cooling = c;
}

/* Adds rows up and cleans them; nobody writes them any more. */
static void fold_worker(const struct cooling *c, struct worker *w)
{
	account_row(w->ledger, c->row, c->output_rows, c->n_outputs, &w->carried);
	memset(&w->ledger->rules[c->row], 0, sizeof(w->ledger->rules[0]));
	for (unsigned i = 0; i < c->n_outputs; i++)
		memset(&w->ledger->outputs[c->output_rows[i]], 0, sizeof(w->ledger->outputs[0]));
}

static bool is_cool(const struct cooling *c)
{
	const struct worker *w = c->port ? c->port->workers : NULL;

	for (; w; w = w->next)
		if (w->child.pid && !mtime_before(c->since, w->caught_up))
			return false;
	return true;
}

void rows_tick(struct relay *r)
{
	struct cooling **at = &r->cooling;

	while (*at) {
		struct cooling *c = *at;

		if (!is_cool(c)) {
			at = &c->next;
			continue;
		}
		for (struct worker *w = c->port ? c->port->workers : NULL; w; w = w->next)
			if (w->ledger)
				fold_worker(c, w);
		r->rule_rows.free[r->rule_rows.n_free++] = c->row;
		for (unsigned i = 0; i < c->n_outputs; i++)
			r->output_rows.free[r->output_rows.n_free++] = c->output_rows[i];
		*at = c->next;
		free(c->output_rows);
		free(c);
	}
}
