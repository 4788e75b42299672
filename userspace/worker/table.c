/* SPDX-License-Identifier: MIT */
/* Open addressing with backward-shift deletion; rules are allocated when a message comes, never
 * while packets are moved. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "worker/table.h"

#define TABLE_SLOTS (1 << 18) /* never more than a quarter full */
_Static_assert(4 * MCR_MAX_RULES <= TABLE_SLOTS, "a worker must have room for all rules");

struct table {
	uint32_t n_shape[16]; /* rules by enum mcr_shape: no look-up for a shape that nobody uses */
	struct table_rule *slots[TABLE_SLOTS];
};

static uint32_t key_hash(const struct mcr_rule_key *key)
{
	uint64_t a, b;

	memcpy(&a, key, 8);
	memcpy(&b, (const uint8_t *)key + 8, 8);
	a = (a ^ b * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
	return (uint32_t)(a >> 40) & (TABLE_SLOTS - 1);
}

static unsigned key_shape(const struct mcr_rule_key *key)
{
	static const uint8_t any[4];
	bool has_source = memcmp(key->source, any, 4) != 0;

	if (has_source)
		return key->port ? MCR_SHAPE_SGP : MCR_SHAPE_SG;
	return key->port ? MCR_SHAPE_GP : MCR_SHAPE_G;
}

/* The slot that holds `key`, or the empty one where it belongs. */
static uint32_t table_slot(const struct table *t, const struct mcr_rule_key *key)
{
	uint32_t i = key_hash(key);

	while (t->slots[i] && memcmp(&t->slots[i]->key, key, sizeof(*key)) != 0)
		i = (i + 1) & (TABLE_SLOTS - 1);
	return i;
}

struct table *table_new(void)
{
	return calloc(1, sizeof(struct table));
}

void table_free(struct table *t)
{
	for (uint32_t i = 0; t && i < TABLE_SLOTS; i++)
		free(t->slots[i]);
	free(t);
}

static void table_remove(struct table *t, uint32_t hole)
{
	t->n_shape[key_shape(&t->slots[hole]->key)]--;
	free(t->slots[hole]);
	t->slots[hole] = NULL;
	for (uint32_t i = (hole + 1) & (TABLE_SLOTS - 1); t->slots[i];
	     i = (i + 1) & (TABLE_SLOTS - 1)) {
		uint32_t home = key_hash(&t->slots[i]->key);

		/* move it into the hole unless its home lies between the hole and here */
		if (((i - home) & (TABLE_SLOTS - 1)) < ((i - hole) & (TABLE_SLOTS - 1)))
			continue;
		t->slots[hole] = t->slots[i];
		t->slots[i] = NULL;
		hole = i;
	}
}

int table_apply(struct table *t, const struct wm_rule *msg)
{
	uint32_t i = table_slot(t, &msg->key);
	struct table_rule *rule;
	size_t outputs = msg->n_outputs * sizeof(msg->outputs[0]);

	if (msg->is_gone) {
		if (t->slots[i])
			table_remove(t, i);
		return 0;
	}
	rule = malloc(sizeof(*rule) + outputs);
	if (!rule)
		return -ENOMEM;
	rule->key = msg->key;
	rule->row = msg->rule;
	rule->n_outputs = msg->n_outputs;
	rule->trace_every = msg->trace_every;
	memcpy(rule->outputs, msg->outputs, outputs);
	if (!t->slots[i])
		t->n_shape[key_shape(&msg->key)]++;
	free(t->slots[i]);
	t->slots[i] = rule;
	return 0;
}

const struct table_rule *table_find(const struct table *t, uint32_t ifindex,
				    const struct mcr_flow *flow)
{
	static const uint8_t order[] = { MCR_SHAPE_SGP, MCR_SHAPE_SG, MCR_SHAPE_GP, MCR_SHAPE_G };

	for (unsigned i = 0; i < sizeof(order); i++) {
		struct mcr_rule_key key = { .ifindex = ifindex, .protocol = flow->protocol };
		const struct table_rule *rule;

		if (!t->n_shape[order[i]])
			continue;
		memcpy(key.group, &flow->group, 4);
		if (order[i] & (MCR_SHAPE_SGP | MCR_SHAPE_SG))
			memcpy(key.source, &flow->source, 4);
		if (order[i] & (MCR_SHAPE_SGP | MCR_SHAPE_GP))
			key.port = ntohs(flow->dport);
		rule = t->slots[table_slot(t, &key)];
		if (rule)
			return rule;
	}
	return NULL;
}
