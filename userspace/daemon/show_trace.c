/* SPDX-License-Identifier: MIT */
/* What is kept for looking back: trace records of datagrams, and the last log lines. */
#include <stdio.h>
#include <string.h>

#include "daemon/relay.h"
#include "edge/log.h"
#include "worker/frame.h"

/* A record's headers again, by the worker's own reader's classifier. */
static void show_head(cJSON *o, const struct trace_record *rec)
{
	struct mcr_flow flow = { 0 };
	char hex[2 * TRACE_HEAD + 1], text[IP4_TEXT];

	for (unsigned i = 0; i < TRACE_HEAD; i++)
		snprintf(hex + 2 * i, 3, "%02x", rec->head[i]);
	cJSON_AddStringToObject(o, "head", hex);
	if (mcr_classify_l3(rec->head, rec->head + TRACE_HEAD, &flow) != MCR_V__COUNT ||
	    mcr_classify_l4(rec->head, rec->head + TRACE_HEAD, UINT16_MAX + ETH_HLEN, &flow) !=
		    MCR_V__COUNT)
		return;
	cJSON_AddStringToObject(o, "source", ip4_format((struct ip4){ flow.source }, text));
	cJSON_AddNumberToObject(o, "source_port", ntohs(flow.sport));
	cJSON_AddStringToObject(o, "group", ip4_format((struct ip4){ flow.group }, text));
	cJSON_AddNumberToObject(o, "port", ntohs(flow.dport));
	cJSON_AddNumberToObject(o, "ttl", flow.ttl);
	cJSON_AddNumberToObject(o, "dscp", flow.tos >> 2);
}

/* Copies a record out; false when the worker is writing it over. */
static bool record_read(const struct trace_record *from, struct trace_record *to)
{
	uint64_t before = __atomic_load_n(&from->sequence, __ATOMIC_ACQUIRE);

	memcpy(to, from, sizeof(*to));
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the copy is made before the second look */
	return before && before == __atomic_load_n(&from->sequence, __ATOMIC_ACQUIRE);
}

static void trace_worker(const struct worker *w, uint32_t row, cJSON *list)
{
	uint64_t newest = __atomic_load_n(&w->ledger->traced, __ATOMIC_ACQUIRE);
	uint64_t from = newest > TRACE_RECORDS ? newest - TRACE_RECORDS + 1 : 1;

	for (uint64_t s = from; s <= newest; s++) {
		struct trace_record rec;
		cJSON *o;

		if (!record_read(&w->ledger->trace[s % TRACE_RECORDS], &rec) || rec.row != row ||
		    rec.sequence != s)
			continue;
		o = cJSON_CreateObject();
		cJSON_AddNumberToObject(
			o, "age_ms",
			(double)(loop_clock().us / 1000 - (int64_t)(rec.ns / 1000000)));
		cJSON_AddNumberToObject(o, "pid", w->child.pid);
		cJSON_AddNumberToObject(o, "payload", rec.len);
		show_head(o, &rec);
		cJSON_AddItemToArray(list, o);
	}
}

cJSON *show_trace(const struct live_rule *live)
{
	cJSON *list = cJSON_CreateArray();

	for (const struct worker *w = live->port->workers; w; w = w->next)
		if (w->ledger)
			trace_worker(w, live->row, list);
	return list;
}

cJSON *show_log(uint64_t since)
{
	cJSON *list = cJSON_CreateArray();
	uint64_t newest = log_newest();
	uint64_t from = newest > LOG_KEPT ? newest - LOG_KEPT + 1 : 1;

	for (uint64_t s = since + 1 > from ? since + 1 : from; s <= newest; s++) {
		struct log_entry e;
		cJSON *o;

		if (!log_recall(s, &e))
			continue;
		o = cJSON_CreateObject();
		cJSON_AddNumberToObject(o, "sequence", (double)e.sequence);
		cJSON_AddStringToObject(o, "time", e.stamp);
		cJSON_AddStringToObject(o, "level", log_level_name(e.level));
		cJSON_AddStringToObject(o, "facility", log_facility_name(e.facility));
		cJSON_AddStringToObject(o, "message", e.text);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}
