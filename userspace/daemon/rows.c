/* SPDX-License-Identifier: MIT */
/*
 * Counter rows. A rule gets one row and one for each output, the same in every worker's ledger.
 * When it goes, its rows cool down until all workers of its port have put the removal in force;
 * then what they counted is carried over to the worker and the rows are clean again.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/relay.h"

#define COOL_MS 500

static int row_pool_init(struct row_pool *pool, uint32_t cap)
{
	pool->free = malloc(cap * sizeof(*pool->free));
	if (!pool->free)
		return -ENOMEM;
	pool->cap = cap;
	return 0;
}

static uint32_t row_pool_take(struct row_pool *pool)
{
	uint32_t row = pool->free[--pool->n_free];

	if (pool->high <= row)
		pool->high = row + 1;
	return row;
}

static void row_pool_put(struct row_pool *pool, uint32_t row)
{
	assert(pool->n_free < pool->cap);
	pool->free[pool->n_free++] = row;
}

/* All but the inherited ones are free, the lowest on top. */
static void row_pool_fill(struct row_pool *pool, const struct plane *plane,
			  bool (*is_inherited)(const struct plane *, uint32_t))
{
	for (uint32_t row = pool->cap; row-- > 0;) {
		if (!is_inherited(plane, row))
			row_pool_put(pool, row);
		else if (pool->high <= row)
			pool->high = row + 1;
	}
}

int rows_init(struct relay *r)
{
	int err = row_pool_init(&r->rule_rows, MCR_MAX_RULES);

	if (!err)
		err = row_pool_init(&r->output_rows, WORKER_OUTPUTS);
	r->rule_stats = calloc(MCR_MAX_RULES, sizeof(*r->rule_stats));
	r->output_stats = calloc(WORKER_OUTPUTS, sizeof(*r->output_stats));
	if (err || !r->rule_stats || !r->output_stats)
		return -ENOMEM;
	row_pool_fill(&r->rule_rows, r->plane, plane_row_is_inherited);
	row_pool_fill(&r->output_rows, r->plane, plane_output_is_inherited);
	return 0;
}

static void cooling_free(struct cooling *c)
{
	free(c->output_rows);
	free(c->rewritten);
	free(c);
}

void rows_fini(struct relay *r)
{
	while (r->cooling) {
		struct cooling *c = r->cooling;

		r->cooling = c->next;
		cooling_free(c);
	}
	free(r->rule_rows.free);
	free(r->output_rows.free);
	free(r->rule_stats);
	free(r->output_stats);
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
	live->rewritten = calloc(n_outputs ? n_outputs : 1, sizeof(*live->rewritten));
	live->sockets = calloc(n_outputs ? n_outputs : 1, sizeof(*live->sockets));
	if (!live->output_rows || !live->rewritten || !live->sockets) {
		free(live->output_rows);
		free(live->rewritten);
		free(live->sockets);
		live->output_rows = live->rewritten = NULL;
		live->sockets = NULL;
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	}
	live->row = row_pool_take(&r->rule_rows);
	for (unsigned i = 0; i < n_outputs; i++)
		live->output_rows[i] = row_pool_take(&r->output_rows);
	return 0;
}

void rows_cool(struct relay *r, struct live_rule *live)
{
	struct cooling *c = calloc(1, sizeof(*c));

	free(live->sockets);
	live->sockets = NULL;
	if (!c) { /* the rows are lost until the daemon restarts; their counts are not */
		live->output_rows = live->rewritten = NULL;
		return;
	}
	*c = (struct cooling){
		.port = live->port,
		.row = live->row,
		.slot = live->port ? live->port->slot : UINT32_MAX,
		.n_outputs = live->rule->n_outputs,
		.output_rows = live->output_rows,
		.rewritten = live->rewritten,
		.since = loop_clock(),
		.next = r->cooling,
	};
	live->output_rows = live->rewritten = NULL;
	r->cooling = c;
}

static struct cooling *cooling_of(const struct plane_legacy_rule *old)
{
	size_t size = old->n_outputs * sizeof(uint32_t);
	struct cooling *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->row = old->row;
	c->slot = old->slot;
	c->n_outputs = old->n_outputs;
	c->since = loop_clock();
	c->output_rows = malloc(size + 1);
	c->rewritten = malloc(size + 1);
	if (!c->output_rows || !c->rewritten) {
		cooling_free(c);
		return NULL;
	}
	memcpy(c->output_rows, old->output_rows, size);
	memcpy(c->rewritten, old->ifindexes, size);
	return c;
}

void rows_inherit(struct relay *r)
{
	struct plane_legacy_rule old;

	while (plane_legacy_next(r->plane, &old)) {
		struct cooling *c = cooling_of(&old);

		if (!c) /* their rows stay taken */
			continue;
		c->next = r->cooling;
		r->cooling = c;
	}
}

/* Adds rows up and cleans them; nobody writes them any more. */
static void fold_worker(const struct cooling *c, struct worker *w)
{
	account_row(w->ledger, c->row, c->output_rows, c->n_outputs, &w->carried);
	memset(&w->ledger->rules[c->row], 0, sizeof(w->ledger->rules[0]));
	for (unsigned i = 0; i < c->n_outputs; i++)
		memset(&w->ledger->outputs[c->output_rows[i]], 0, sizeof(w->ledger->outputs[0]));
}

/* A frame that the programs have begun with is through long before the next second. */
static bool is_cool(const struct cooling *c)
{
	const struct worker *w = c->port ? c->port->workers : NULL;

	if (mtime_before(loop_clock(), mtime_add(c->since, mtime_ms(COOL_MS))))
		return false;
	for (; w; w = w->next)
		if (w->child.pid && !mtime_before(c->since, w->caught_up))
			return false;
	return true;
}

static void fold_kernel(struct relay *r, const struct cooling *c)
{
	for (unsigned i = 0; i < c->n_outputs; i++)
		if (c->rewritten[i])
			plane_rewrite_del(r->plane, c->row, c->rewritten[i]);
	plane_rows_fold(r->plane, c->slot, c->row, c->output_rows, c->n_outputs);
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
		fold_kernel(r, c);
		row_pool_put(&r->rule_rows, c->row);
		for (unsigned i = 0; i < c->n_outputs; i++)
			row_pool_put(&r->output_rows, c->output_rows[i]);
		*at = c->next;
		cooling_free(c);
	}
}
