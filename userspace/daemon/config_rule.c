/* SPDX-License-Identifier: MIT */
/*
 * Rules from JSON5, in the form of the file (input {…}) and in the flat form of requests
 * (input_interface, …). Here are keys and types; rule_check judges the values.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_value.h"

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define PORT_WANTED "a port (a whole number, 0 to 65535)"

static int read_port(struct reader *rd, const struct json5_node *v, uint16_t *out)
{
	int64_t port;
	int err = reader_integer(rd, v, PORT_WANTED, 0, 65535, &port);

	if (!err)
		*out = (uint16_t)port;
	return err;
}

static int read_output_interface(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct rule_output *)out)->interface);
}

static int read_output_address(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_ip4(rd, v, &((struct rule_output *)out)->address);
}

static int read_output_port(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_port(rd, v, &((struct rule_output *)out)->port);
}

static int read_output_ttl(struct reader *rd, const struct json5_node *v, void *out)
{
	static const char wanted[] = "a TTL (1 to 255, or \"decrement\")";
	struct rule_output *o = out;
	char quoted[DIAG_QUOTE];
	int64_t ttl;
	int err;

	if (v->type == JSON5_STRING && !strcmp(json5_text(rd->doc, v), "decrement")) {
		o->ttl_policy = TTL_DECREMENT;
		return 0;
	}
	if (v->type == JSON5_STRING)
		return reader_refuse(rd, v, E_RANGE, "%s is not %s",
				     diag_quote(json5_text(rd->doc, v), quoted), wanted);
	err = reader_integer(rd, v, wanted, 1, 255, &ttl);
	if (err)
		return err;
	o->ttl_policy = TTL_FIXED;
	o->ttl = (uint8_t)ttl;
	return 0;
}

static int read_output_source(struct reader *rd, const struct json5_node *v, void *out)
{
	struct rule_output *o = out;
	const char *text = json5_text(rd->doc, v);
	char quoted[DIAG_QUOTE];

	if (v->type != JSON5_STRING)
		return reader_refuse_type(rd, v,
					  "a source (\"interface\", \"preserve\" or an IPv4 "
					  "address)");
	if (!strcmp(text, "interface")) {
		o->source_policy = SOURCE_INTERFACE;
	} else if (!strcmp(text, "preserve")) {
		o->source_policy = SOURCE_PRESERVE;
	} else if (!ip4_parse(text, &o->source)) {
		o->source_policy = SOURCE_LITERAL;
	} else {
		return reader_refuse(rd, v, E_BAD_ADDR,
				     "%s is neither \"interface\" nor \"preserve\" nor an IPv4 "
				     "address",
				     diag_quote(text, quoted));
	}
	return 0;
}

static int read_output_dscp(struct reader *rd, const struct json5_node *v, void *out)
{
	int64_t dscp;
	int err = reader_integer(rd, v, "a DSCP (a whole number, 0 to 63)", 0, 63, &dscp);

	if (!err)
		((struct rule_output *)out)->dscp = (int8_t)dscp;
	return err;
}

static const struct member output_members[] = {
	{ "interface", 0, false, read_output_interface },
	{ "group", 1, false, read_output_address },
	{ "address", 1, false, read_output_address },
	{ "port", 2, false, read_output_port },
	{ "ttl", 3, false, read_output_ttl },
	{ "source", 4, false, read_output_source },
	{ "source_ip", 4, false, read_output_source },
	{ "dscp", 5, false, read_output_dscp },
};

static int read_outputs(struct reader *rd, const struct json5_node *v, void *out)
{
	struct rule *r = out;

	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of outputs");
	if (!v->count)
		return reader_refuse(rd, v, E_MISSING, "a rule has at least one output");
	if (v->count > RULE_OUTPUTS_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u outputs: a rule has at most %d", v->count,
				     RULE_OUTPUTS_MAX);
	r->outputs = calloc(v->count, sizeof(*r->outputs));
	if (!r->outputs)
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
	for (const struct json5_node *o = json5_first(rd->doc, v); o; o = json5_next(rd->doc, o)) {
		size_t mark = reader_enter_index(rd, r->n_outputs);
		int err;

		r->outputs[r->n_outputs].dscp = -1;
		err = reader_object(rd, o, output_members, COUNT(output_members), NULL,
				    &r->outputs[r->n_outputs]);
		if (err)
			return err;
		reader_leave(rd, mark);
		r->n_outputs++;
	}
	return 0;
}

static int read_id(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_text(rd, v, "an id", ((struct rule *)out)->id, RULE_ID_LEN);
}

/* Empty is the same as absent, since that is how a rule without a name is listed. */
static int read_name(struct reader *rd, const struct json5_node *v, void *out)
{
	if (v->type == JSON5_STRING && !v->text_len)
		return 0;
	return reader_text(rd, v, "a name", ((struct rule *)out)->name, RULE_NAME_LEN);
}

static int read_input_interface(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct rule *)out)->interface);
}

static int read_input_group(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_ip4(rd, v, &((struct rule *)out)->group);
}

static int read_input_source(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_ip4(rd, v, &((struct rule *)out)->source);
}

static int read_input_port(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_port(rd, v, &((struct rule *)out)->port);
}

static int read_input_protocol(struct reader *rd, const struct json5_node *v, void *out)
{
	static const char wanted[] = "a protocol that is relayed: \"udp\" (17) or \"esp\" (50)";
	const char *text = json5_text(rd->doc, v);
	struct rule *r = out;
	char quoted[DIAG_QUOTE];
	int64_t number;
	int err;

	if (v->type == JSON5_STRING) {
		number = !strcmp(text, "udp")	? IPPROTO_UDP
			 : !strcmp(text, "esp") ? IPPROTO_ESP
						: 0;
		if (!number)
			return reader_refuse(rd, v, E_RANGE, "%s is not %s",
					     diag_quote(text, quoted), wanted);
	} else {
		err = reader_integer(rd, v, wanted, 0, 255, &number);
		if (err)
			return err;
		if (number != IPPROTO_UDP && number != IPPROTO_ESP)
			return reader_refuse(rd, v, E_RANGE, "%d is not %s", (int)number, wanted);
	}
	r->protocol = (uint8_t)number;
	return 0;
}

static int read_datapath(struct reader *rd, const struct json5_node *v, void *out)
{
	const char *text = json5_text(rd->doc, v);
	char quoted[DIAG_QUOTE];

	if (v->type != JSON5_STRING)
		return reader_refuse_type(
			rd, v, "a datapath (\"auto\", \"xdp\", \"afxdp\" or \"afpacket\")");
	for (enum rule_datapath dp = RULE_DP_AUTO; dp < RULE_DP__COUNT; dp++) {
		if (strcmp(text, rule_datapath_name(dp)))
			continue;
		((struct rule *)out)->datapath = (uint8_t)dp;
		return 0;
	}
	return reader_refuse(rd, v, E_RANGE,
			     "%s is not a datapath: \"auto\", \"xdp\", \"afxdp\" or \"afpacket\"",
			     diag_quote(text, quoted));
}

static int read_accept_ttl1(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &((struct rule *)out)->accept_ttl1);
}

static const struct member input_members[] = {
	{ "interface", 0, true, read_input_interface },
	{ "group", 1, true, read_input_group },
	{ "address", 1, true, read_input_group },
	{ "port", 2, false, read_input_port },
	{ "source", 3, false, read_input_source },
	{ "source_ip", 3, false, read_input_source },
	{ "protocol", 4, false, read_input_protocol },
};

static int read_input(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_object(rd, v, input_members, COUNT(input_members), NULL, out);
}

static const struct member rule_members[] = {
	{ "id", 0, false, read_id },
	{ "name", 1, false, read_name },
	{ "input", 2, true, read_input },
	{ "outputs", 3, true, read_outputs },
	{ "datapath", 4, false, read_datapath },
	{ "accept_ttl1", 5, false, read_accept_ttl1 },
};

static const struct member flat_members[] = {
	{ "rule_id", 0, false, read_id },
	{ "name", 1, false, read_name },
	{ "input_interface", 2, true, read_input_interface },
	{ "input_group", 3, true, read_input_group },
	{ "input_port", 4, false, read_input_port },
	{ "input_source", 5, false, read_input_source },
	{ "input_protocol", 6, false, read_input_protocol },
	{ "outputs", 7, true, read_outputs },
	{ "datapath", 8, false, read_datapath },
	{ "accept_ttl1", 9, false, read_accept_ttl1 },
};

int config_read_rule(struct reader *rd, const struct json5_node *v, struct rule *out)
{
	int err;

	*out = (struct rule){ .protocol = IPPROTO_UDP };
	err = reader_object(rd, v, rule_members, COUNT(rule_members), NULL, out);
	if (err)
		goto out;
	rule_fill_id(out);
	err = rule_check(out, rd->path, rd->d);
	if (err)
		reader_locate(rd, v, rd->path_len);
out:
	if (err)
		rule_free_outputs(out);
	return err;
}

/* rule_check speaks of the file's keys: id is rule_id here, and input.group input_group. */
static void rename_flat(struct diag *d)
{
	if (!strncmp(d->where, "input.", 6))
		d->where[5] = '_';
	else if (!strcmp(d->where, "id"))
		memcpy(d->where, "rule_id", sizeof("rule_id"));
}

int config_read_flat_rule(struct rule *out, const struct json5_doc *doc,
			  const struct json5_node *request, const char *const *also, struct diag *d)
{
	struct diag unwanted;
	struct reader rd = { .doc = doc, .d = d ? d : &unwanted };
	int err;

	*out = (struct rule){ .protocol = IPPROTO_UDP };
	err = reader_object(&rd, request, flat_members, COUNT(flat_members), also, out);
	if (err)
		goto out;
	rule_fill_id(out);
	err = rule_check(out, "", rd.d);
	if (err) {
		rename_flat(rd.d);
		reader_locate(&rd, request, 0);
	}
out:
	if (err)
		rule_free_outputs(out);
	return err;
}
