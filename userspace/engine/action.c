/* SPDX-License-Identifier: MIT */
/* The list of actions: nothing goes in beyond its capacity. */
#include "engine/action.h"

struct action *actions_add(struct actions *a, enum act_kind kind, uint32_t port)
{
	struct action *action;

	if (a->n == ACTIONS_MAX)
		return NULL;
	action = &a->list[a->n++];
	*action = (struct action){ .kind = kind, .port = port };
	return action;
}

struct wr actions_packet(struct actions *a)
{
	return wr_init(a->bytes + a->n_bytes, ACTIONS_BYTES - a->n_bytes);
}

bool actions_send(struct actions *a, uint32_t port, const struct wr *w, struct act_send head)
{
	struct action *action;

	if (wr_failed(w))
		return false;
	action = actions_add(a, ACT_SEND, port);
	if (!action)
		return false;
	action->send = head;
	action->send.off = (uint16_t)a->n_bytes;
	action->send.len = (uint16_t)wr_len(w);
	a->n_bytes += action->send.len;
	return true;
}

bool actions_forward(struct actions *a, const void *packet, uint16_t len, struct portset ports)
{
	struct action *action;
	struct wr w = actions_packet(a);

	wr_bytes(&w, packet, len);
	if (wr_failed(&w))
		return false;
	action = actions_add(a, ACT_FORWARD, PORT_NONE);
	if (!action)
		return false;
	action->forward = (struct act_forward){ ports, (uint16_t)a->n_bytes, len };
	a->n_bytes += len;
	return true;
}

bool actions_member(struct actions *a, enum act_kind kind, uint32_t port, struct sg sg,
		    enum want_mode mode)
{
	struct action *action = actions_add(a, kind, port);

	if (action)
		action->member = (struct act_member){ .sg = sg, .mode = mode };
	return action != NULL;
}

bool actions_event(struct actions *a, uint32_t port, struct act_event event)
{
	struct action *action = actions_add(a, ACT_EVENT, port);

	if (action)
		action->event = event;
	return action != NULL;
}
