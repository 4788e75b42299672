#!/bin/bash
# SPDX-License-Identifier: MIT
# commands: every command of docs/control-protocol.md asked of a real daemon, rightly and wrongly:
# what it answers, with which code and where, on both sockets. Requests go by the dozen in one
# write, and each reply is told by its id: all are answered, and in order.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

# --- asking --------------------------------------------------------------------------------------

names=() requests=() filters=()

# raw NAME LINE FILTER : a line of its own making; the filter (jq) must be true of the reply
raw() {
	names+=("${1//[$'\n\t']/ }")
	requests+=("$2")
	filters+=("$3")
}

# request COMMAND [MEMBERS] : the line that asks so; the daemon reads JSON5, which saves quotes
request() {
	local members=${2:-}
	members=${members//[$'\n\t']/ }
	echo "{\"command\": \"$1\", \"id\": ${#names[@]}${members:+, $members}}"
}

# fine COMMAND MEMBERS FILTER : answered with ok, and so that the filter is true
fine() {
	raw "$1 $2" "$(request "$1" "$2")" ".id == ${#names[@]} and .status == \"ok\" and ($3)"
}

# refused COMMAND MEMBERS CODE WHERE
refused() {
	raw "$1 $2: $3" "$(request "$1" "$2")" ".id == ${#names[@]} and .status == \"error\" and
		.error_code == \"$3\" and .where == \"$4\" and (.message | length) > 8"
}

# ask SOCKET : sends what the above have gathered, all in one write, and checks the replies
ask() {
	local i program="[inputs] | " answers
	printf '%s\n' "${requests[@]}" >"$tmp/requests"
	"$tmp/pipeline" "$1" <"$tmp/requests" >"$tmp/replies" || not_ok "the connection holds"
	for i in "${!filters[@]}"; do
		program+="(.[$i] | [try (${filters[i]}) catch .][0]), "
	done
	mapfile -t answers < <(jq -nc "$program length" "$tmp/replies")
	check_equal "requests and replies" "${answers[-1]:-}" "${#names[@]}"
	for i in "${!names[@]}"; do
		if [ "${answers[i]:-}" = true ]; then
			ok "${names[i]:0:80}"
		else
			not_ok "${names[i]}" \
				"${answers[i]:-}: $(sed -n "$((i + 1))p" "$tmp/replies")"
		fi
	done
	names=() requests=() filters=()
}

# asking PART [SOCKET]
asking() {
	"$1"
	label="$1: "
	ask "$tmp/relay${2:-}.sock"
	label=""
	grep -o '"command": "[A-Za-z]*"' "$tmp/requests" | cut -d '"' -f 4 >>"$tmp/asked"
}

# --- questions, and lines that are none ----------------------------------------------------------

plain_questions=(CheckAccounting Doctor GetConfig GetIgmpGroups GetIgmpInterfaces GetLogLevels GetMroute
	GetPimInterfaces GetPimJoins GetPimNeighbors GetPimRp GetStats GetStatus GetVersion ListRules ListWorkers Ping)
not_for_all=(AddMroute AddRule DisableIgmpQuerier DisablePim DisableTrace DumpLogs EnableIgmpQuerier
	EnablePim EnableTrace GetTrace LoadConfig RemoveMroute RemoveRule RemoveRuleByName SaveConfig
	SetFacilityLogLevel SetGlobalLogLevel SetRpAddress SetStaticRp)

questions() {
	local command
	fine Ping "" '.message == "0/0 workers ready" and .workers == 0 and .workers_ready == 0'
	fine GetVersion "" '.protocol_version == 1 and .version != "" and .abi == "3.0"'
	fine GetStatus "" '.instance == "relay" and .pid > 0 and .uptime_s >= 0 and
		.version != "" and
		.rules == {total: 0, active: 0, unresolved: 0, failed: 0} and .workers == 0 and
		.workers_ready == 0 and .interfaces == 0 and .packets_per_second == 0 and
		.copies_per_second == 0 and .drops_per_second == 0 and .persisted and
		.degraded == [] and .clients == 1'
	fine ListRules "" '.rules == []'
	fine GetStats "" '.rules == [] and .workers == [] and .interfaces == []'
	fine ListWorkers "" '.workers == []'
	fine GetIgmpGroups "" '.groups == []'
	fine GetIgmpInterfaces "" '.interfaces == []'
	fine Doctor "" '.interfaces >= 0 and (.findings | all(.severity != "" and .code != "" and
		.what != "" and .why != "" and .remedy != ""))'
	fine Explain "source: '198.18.0.1', group: '239.1.1.1'" '.cause == "no_rule" and
		(.forwarded | not) and .sentence != "" and .steps != []'
	refused Explain "source: '198.18.0.1', group: 'x'" E_BAD_ADDR group
	refused Explain "source: '198.18.0.1'" E_MISSING group
	refused Explain "source: '198.18.0.1', group: '239.1.1.1', ttl: 256" E_RANGE ttl
	refused Explain "source: '198.18.0.1', group: '239.1.1.1', port: 0" E_RANGE port
	refused Explain "source: '198.18.0.1', group: '239.1.1.1', interface: '-'" E_IF_NAME interface
	fine GetMroute "" '.routes == [] and .generation == 0'
	refused QueryRpf "source: '198.18.0.1'" E_UNSUPPORTED ""
	refused QueryRpf "source: '239.1.1.1'" E_BAD_ADDR source
	refused QueryRpf "" E_MISSING source
	fine CheckAccounting "" '.holds and .identities == []'
	fine GetLogLevels "" '.global == "info" and .facility_overrides == {}'
	fine GetConfig "" '.config == {multicast_ttl: 7, worker_grace: 60, stats_interval: 10,
		rules: []}'
	fine VersionCheck "protocol_version: 1" '.protocol_version == 1'
	refused VersionCheck "protocol_version: 2" E_UNSUPPORTED protocol_version
	refused VersionCheck "" E_MISSING protocol_version
	refused VersionCheck "protocol_version: '1'" E_TYPE protocol_version
	fine DumpLogs "" '.newest == (.lines | last | .sequence) and .lines[0].sequence == 1 and
		(.lines | any(.facility == "supervisor" and .level == "notice" and
			(.message | startswith("mcrd ")) and (.time | endswith("Z"))))'
	fine DumpLogs "since: 4000000000" '.lines == [] and .newest > 0'
	refused DumpLogs "since: -1" E_RANGE since
	refused DumpLogs "since: 4294967296" E_RANGE since
	refused DumpLogs "since: '1'" E_TYPE since
	refused ShowRule "name: 'tv'" E_NOT_FOUND name
	refused ShowRule "rule_id: 'tv'" E_NOT_FOUND rule_id
	refused ShowRule "" E_MISSING ""
	refused ShowRule "name: 'tv', rule_id: 'tv'" E_MISSING ""
	refused ShowRule "name: 5" E_TYPE name
	for command in "${plain_questions[@]}"; do
		refused "$command" "name: 'x'" E_UNKNOWN_KEY name
	done
}

envelopes() {
	local proto='.status == "error" and .error_code == "E_PROTO" and .where == ""'
	raw "no JSON" "hello" "$proto and .line == 1 and .column == 1"
	raw "an empty line" "" "$proto"
	raw "half a request" '{"command": "Ping"' "$proto and .column == 19"
	raw "an array" '["Ping"]' "$proto and (has(\"id\") | not)"
	raw "no UTF-8" $'{"command": "P\xff"}' "$proto"
	raw "a key twice" '{"command": "Ping", "command": "Ping"}' '.error_code == "E_EXISTS"'
	raw "no command" '{"id": 3}' \
		'.error_code == "E_MISSING" and .where == "command" and .id == 3'
	raw "a number" '{"command": 3}' '.error_code == "E_TYPE" and .where == "command"'
	raw "an id that is a text" '{"command": "Ping", "id": "a\u0022\u00e9"}' '.id == "a\"é"'
	raw "an id that is neither" '{"command": "Ping", "id": [1]}' \
		'.status == "ok" and (has("id") | not)'
	raw "JSON5" "{command: 'Ping', id: 0x10,} // all of it" '.status == "ok" and .id == 16'
	refused Pong "" E_UNKNOWN_COMMAND command
	refused ping "" E_UNKNOWN_COMMAND command
	refused "$(printf '\u00e9%.0s' {1..100})" "" E_UNKNOWN_COMMAND command
	refused Ping "dry_run: 1" E_TYPE dry_run
	fine Ping "dry_run: true" '.workers == 0'
}

# --- rules ---------------------------------------------------------------------------------------

input="input_interface: 'in0', input_group: '239.1.1.1'"
outputs="outputs: [{interface: 'o1'}]"
tv="$input, input_port: 5001, name: 'tv', datapath: 'afxdp', $outputs"

adding() {
	fine AddRule "$tv, dry_run: true" '(has("persisted") | not) and (has("state") | not) and
		.changes == [{action: "add", rule_id: .rule_id, name: "tv",
			summary: "in0 239.1.1.1:5001 → o1 239.1.1.1:5001"}]'
	fine ListRules "" '.rules == []'
	fine AddRule "$tv" '(.rule_id | test("^[0-9a-f]{16}$")) and .state == "active" and
		.reason == "" and .changes[0].action == "add" and .persisted'
	fine AddRule "rule_id: 'all', name: '', input_interface: 'gone0', input_port: 0,
		input_group: '239.1.1.2', input_source: '198.18.0.1', input_protocol: 'esp',
		datapath: 'afpacket', accept_ttl1: true, outputs: [
			{interface: 'o1', group: '239.9.9.9', ttl: 8, source: 'preserve', dscp: 46},
			{address: '198.18.3.2', source_ip: '198.18.3.1', ttl: 'decrement'}]" \
		'.rule_id == "all" and .state == "unresolved" and (.reason | contains("gone0"))'
	fine ListRules "" '[.rules[] | .name] == ["tv", ""]'
}

bad_rule() {
	refused AddRule "$input, $outputs, $1" "$2" "$3"
}

bad_output() {
	refused AddRule "$input, outputs: [{interface: 'o1', $1}]" "$2" "outputs[0].$3"
}

bad_rules() {
	refused AddRule "$tv" E_EXISTS input_group
	bad_rule "input_port: 5002, name: 'tv'" E_EXISTS name
	bad_rule "input_port: 5002, rule_id: 'all'" E_EXISTS rule_id
	bad_rule "input_port: 65536" E_RANGE input_port
	bad_rule "input_port: 'x'" E_TYPE input_port
	bad_rule "input_port: 5, input_protocol: 50" E_RANGE input_port
	bad_rule "input_protocol: 6" E_RANGE input_protocol
	bad_rule "input_source: '239.1.1.1'" E_BAD_ADDR input_source
	bad_rule "datapath: 'fast'" E_RANGE datapath
	bad_rule "datapath: 'xpd'" E_RANGE datapath
	bad_rule "accept_ttl1: 1" E_TYPE accept_ttl1
	bad_rule "rule_id: 'a b'" E_RANGE rule_id
	bad_rule "rule_id: ''" E_RANGE rule_id
	bad_rule "name: '$(printf '%064d' 0)'" E_RANGE name
	bad_rule "instance: 'x'" E_UNKNOWN_KEY instance
	refused AddRule "" E_MISSING input_interface
	refused AddRule "input_interface: 'in0', $outputs" E_MISSING input_group
	refused AddRule "$input" E_MISSING outputs
	refused AddRule "input_interface: 'a/b', input_group: '239.1.1.1', $outputs" \
		E_IF_NAME input_interface
	refused AddRule "input_interface: 'in0', input_group: '239.1.1', $outputs" \
		E_BAD_ADDR input_group
	refused AddRule "input_interface: 'in0', input_group: '224.0.0.9', $outputs" \
		E_BAD_ADDR input_group
	refused AddRule "$input, outputs: []" E_MISSING outputs
	refused AddRule "$input, outputs: {}" E_TYPE outputs
	refused AddRule "$input, outputs: [5]" E_TYPE 'outputs[0]'
	refused AddRule "$input, outputs: [{}]" E_MISSING 'outputs[0].interface'
	refused AddRule "$input, outputs: [{interface: 'in0'}]" E_LOOP 'outputs[0].interface'
	refused AddRule "$input, outputs: [{interface: 'o1'}, {interface: 'o1'}]" \
		E_EXISTS 'outputs[1]'
	refused AddRule "$input, outputs: [$(printf '{interface: "o1", port: %d},' {1..65})]" \
		E_LIMIT outputs
	bad_output "ttl: 300" E_RANGE ttl
	bad_output "ttl: 'less'" E_RANGE ttl
	bad_output "dscp: 64" E_RANGE dscp
	bad_output "source: 'x'" E_BAD_ADDR source
	bad_output "group: '224.0.0.5'" E_BAD_ADDR group
	bad_output "tll: 3" E_UNKNOWN_KEY tll
	fine ListRules "" '[.rules[] | .name] == ["tv", ""]'
}

# What is said of the two rules that adding() has left.
telling() {
	fine ListRules "" '.rules[0] == {rule_id: .rules[0].rule_id, name: "tv",
		input_interface: "in0", input_group: "239.1.1.1", input_port: 5001,
		input_protocol: 17, input_source: "", accept_ttl1: false, origin: "static",
		state: "active", reason: "", datapath: "afxdp", datapath_effective: "afxdp",
		datapath_reason: .rules[0].datapath_reason, outputs: [
			{interface: "o1", group: "239.1.1.1", port: 5001, ttl: 7,
			source: "interface", state: "active", reason: "", egress: "packet"}]}'
	fine ListRules "" '.rules[1] | .input_protocol == 50 and .input_source == "198.18.0.1" and
		.accept_ttl1 and .state == "unresolved" and .datapath == "afpacket" and
		.datapath_effective == "none" and .outputs == [
			{interface: "o1", group: "239.9.9.9", port: 0, ttl: 8,
			source: "preserve", dscp: 46,
			state: "active", reason: "", egress: "packet"},
			{interface: "", address: "198.18.3.2", port: 0, ttl: "decrement",
			source: "198.18.3.1", state: "active", reason: "", egress: "raw"}]'
	fine ShowRule "name: 'tv'" '(.explanation | length) == 3 and
		(.explanation[0] | startswith("Ready")) and (.rule | .name == "tv" and
		.packets_matched == 0 and .bytes_matched == 0 and .packets_per_second == 0 and
		.bits_per_second == 0 and .last_seen_ms == -1 and
		.drops == {ttl: 0, loop: 0, no_worker: 0, checksum: 0, unfit: 0,
			pruned: 0, wrong_iif: 0} and (.outputs[0] |
			.due == 0 and .sent == 0 and .bytes == 0 and
			.drops.full == 0 and .device_counts_drops == false))'
	fine ShowRule "rule_id: 'all'" '.explanation[0] | startswith("Not forwarding: ")'
	fine ListWorkers "" '(.workers | length) == 1 and (.workers[0] | keys) == ["backoff_ms",
		"core_id", "interface", "pid", "queues", "restarts", "status", "uptime_s",
		"worker_type"]'
	fine CheckAccounting "" '.holds and (.identities | length) > 0 and (.identities |
		all(.holds and .id >= 1 and .id <= 5 and .name != "" and .scope != "" and
		.left.expression != "" and .left.value == .right.value and has("note")))'
	fine GetStatus "" '.rules == {total: 2, active: 1, unresolved: 1, failed: 0} and
		.workers == 1 and .workers_ready == 1 and .interfaces == 2'
	fine GetConfig "" '[.config.rules[] | .name] == ["tv", null] and .config.rules[1] == {
		id: "all", input: {interface: "gone0", group: "239.1.1.2", source: "198.18.0.1",
			protocol: "esp"}, outputs: [
			{interface: "o1", group: "239.9.9.9", ttl: 8, source: "preserve",
			dscp: 46},
			{address: "198.18.3.2", ttl: "decrement", source: "198.18.3.1"}],
		datapath: "afpacket", accept_ttl1: true}'
	counters
}

counters() {
	fine GetStats "" '(.rules | length) == 2 and (.rules | all(has("packets_matched")))'
	fine GetStats "" '(.workers | length) == 1 and (.workers[0] | .worker_type == "afxdp" and
		.interface == "in0" and .core_id == -1 and .queues == [0] and
		.status == "running" and .pid > 0 and .backoff_ms == 0 and .restarts == 0 and
		.uptime_s >= 0 and ([.dequeued, .dequeued_skbs, .matched, .due, .sent, .sent_bytes,
			.rx_dropped, .ring_full, .in_ring, .submitted, .completed] |
			all(. == 0)) and
		(.frame_drops | keys) == ["checksum", "crash", "malformed", "rule_gone",
			"truncated"] and
		(.copy_drops | keys) == ["crash", "device", "down", "error", "full", "too_big",
			"ttl", "unreachable"] and
		(.buffers | .total > 0 and .total == .fill + .ring + .held) and
		.batches >= 0 and .wakeups >= 0)'
	fine GetStats "" '[.interfaces[] | .name] == ["in0", "o1"] and (.interfaces[0] | .up and
		.ifindex > 0 and .xdp_mode == "native" and .xdp_note == "" and .seen == 0 and
		.bytes == 0 and (.verdicts | length) == 19 and .packet_socket == null and .kernel == null and
		(.device | keys) == ["rx_dropped", "rx_packets", "tx_dropped", "tx_packets"])'
	fine GetStats "" '.interfaces[1] | .up and .xdp_mode == "none" and (has("seen") | not)'
}

igmp() {
	local changed='.changes == [{action: "change", setting: "igmp"}]'
	refused EnableIgmpQuerier "" E_MISSING interface
	refused EnableIgmpQuerier "interface: '0'" E_IF_NAME interface
	refused DisableIgmpQuerier "interface: 'o1'" E_NOT_FOUND interface
	fine EnableIgmpQuerier "interface: 'o1', dry_run: true" "$changed"
	fine GetIgmpInterfaces "" '.interfaces == []'
	fine EnableIgmpQuerier "interface: 'o1'" "$changed and .persisted"
	fine EnableIgmpQuerier "interface: 'o1'" '.changes == []'
	fine GetIgmpInterfaces "" '[.interfaces[].interface] == ["o1"]'
	fine GetConfig "" '.config.igmp.querier_interfaces == ["o1"]'
	fine DisableIgmpQuerier "interface: 'o1'" "$changed and .persisted"
	fine GetIgmpInterfaces "" '.interfaces == []'
}

mroutes() {
	local one="group: '239.7.7.7', source: '198.18.0.9'"
	local changed='.changes == [{action: "change", setting: "mroutes"}]'
	refused AddMroute "" E_MISSING group
	refused AddMroute "$one" E_MISSING input
	refused AddMroute "$one, input: 'in0'" E_MISSING outputs
	refused AddMroute "$one, input: 'in0', outputs: []" E_RANGE outputs
	refused AddMroute "$one, input: 'in0', outputs: ['in0']" E_LOOP outputs
	refused AddMroute "group: '224.0.0.5', input: 'in0', outputs: ['o1']" E_BAD_ADDR group
	fine AddMroute "$one, input: 'in0', outputs: ['o1'], dry_run: true" "$changed"
	fine GetMroute "" '.routes == []'
	fine AddMroute "$one, input: 'in0', outputs: ['o1']" "$changed and .persisted"
	fine AddMroute "$one, input: 'in0', outputs: ['o1']" '.changes == []'
	fine GetMroute "" '[.routes[] | .source, .group, .input_interface, .output_interfaces[0],
		.outputs[0].owners[0]] == ["198.18.0.9", "239.7.7.7", "in0", "o1", "static"]'
	fine AddMroute "$one, input: 'in0', outputs: ['o2', 'o1']" "$changed"
	fine GetMroute "" '.routes[0].output_interfaces == ["o1", "o2"]'
	fine GetConfig "" '.config.mroutes == [{group: "239.7.7.7", source: "198.18.0.9",
		input: "in0", outputs: ["o2", "o1"]}]'
	refused RemoveMroute "group: '239.7.7.7'" E_NOT_FOUND group
	refused RemoveMroute "source: '198.18.0.9'" E_MISSING group
	fine RemoveMroute "$one" "$changed and .persisted"
	fine GetMroute "" '.routes == []'
}

removing() {
	refused RemoveRule "" E_MISSING rule_id
	refused RemoveRule "rule_id: 5" E_TYPE rule_id
	refused RemoveRule "rule_id: 'nine'" E_NOT_FOUND rule_id
	refused RemoveRule "name: 'new'" E_UNKNOWN_KEY name
	refused RemoveRuleByName "" E_MISSING name
	refused RemoveRuleByName "name: 'nine'" E_NOT_FOUND name
	refused RemoveRuleByName "name: ''" E_NOT_FOUND name
	refused RemoveRuleByName "rule_id: 'eight'" E_UNKNOWN_KEY rule_id
	fine RemoveRule "rule_id: 'eight', dry_run: true" '[.changes[] | .action] == ["remove"]'
	fine ShowRule "rule_id: 'eight'" '.rule.rule_id == "eight"'
	fine RemoveRuleByName "name: 'new'" '.persisted and .changes == [{action: "remove",
		rule_id: "eight", name: "new", summary: "in0 239.1.1.7:0 → o2 239.1.1.7:0"}]'
	fine AddRule "$tv, rule_id: 'ten'" '.rule_id == "ten"'
	fine RemoveRule "rule_id: 'ten'" '[.changes[] | .rule_id] == ["ten"]'
	fine ListRules "" '.rules == []'
}

# --- configurations ------------------------------------------------------------------------------

# config SETTINGS RULE : the parameter `config` with settings and one rule, which has these members
config() {
	echo "config: {${1:-} rules: [{${2:-} input: {interface: 'in0', group: '239.1.1.7'}," \
		"outputs: [{interface: 'o2'}]}]}"
}

changes_are() {
	echo "[.changes[] | .action + \" \" + (.rule_id // .setting)] == $1"
}

checking() {
	fine CheckConfig "$(config)" '.valid and .errors == []'
	fine CheckConfig "$(config "instance: 'lab',")" '.valid'
	fine CheckConfig "$(config "" "tll: 3,")" '(.valid | not) and
		.errors[0].error_code == "E_UNKNOWN_KEY" and
		.errors[0].where == "config.rules[0].tll"'
	fine CheckConfig 'config_text: "{\n  multicast_ttl: 0 }"' '(.valid | not) and .errors == [
		{error_code: "E_RANGE", where: "multicast_ttl", message: .errors[0].message,
		line: 2, column: 18}]'
	fine CheckConfig "config: 5" '.errors[0].error_code == "E_TYPE"'
	refused CheckConfig "" E_MISSING ""
	refused CheckConfig "config: {}, config_text: ''" E_MISSING ""
	refused CheckConfig "config_text: {}" E_TYPE config_text
	refused CheckConfig "file: 'x'" E_UNKNOWN_KEY file
	fine ListRules "" '(.rules | length) == 2'
}

loading() {
	refused LoadConfig "" E_MISSING ""
	refused LoadConfig "config: {}, replace: 'yes'" E_TYPE replace
	refused LoadConfig "config: {rule: []}" E_UNKNOWN_KEY config.rule
	refused LoadConfig 'config_text: "{\n rules: 3}"' E_TYPE rules
	raw "where in a text" '{"command": "LoadConfig", "config_text": "{\n rules: 3}"}' \
		'.line == 2 and .column == 9'
	refused LoadConfig "config_text: '{instance: \"lab\"}'" E_RANGE instance
	refused LoadConfig "config: {instance: 'lab'}" E_RANGE config.instance
	refused LoadConfig "config: {rules: [{id: 'other', outputs: [{interface: 'o2'}],
		input: {interface: 'in0', group: '239.1.1.1', port: 5001}}]}" \
		E_EXISTS 'config.rules[0].input'
	fine LoadConfig "config: {instance: 'relay'}" '.changes == [] and .persisted'
	fine LoadConfig "$(config "worker_grace: 30," "id: 'seven',"), dry_run: true" \
		"$(changes_are '["add seven", "change worker_grace"]')"
	fine GetConfig "" '.config.worker_grace == 60 and (.config.rules | length) == 2'
	fine LoadConfig "$(config "worker_grace: 30, stats_interval: 0, pinning: {o3: [0]}," \
		"id: 'seven',")" "$(changes_are '["add seven", "change worker_grace",
			"change stats_interval", "change pinning"]')"
	fine GetConfig "" '.config | .multicast_ttl == 7 and .worker_grace == 30 and
		.stats_interval == 0 and .pinning == {o3: [0]} and (.rules | length) == 3'
	fine LoadConfig "$(config "" "id: 'seven', name: 'new',")" \
		"$(changes_are '["change seven"]')"
	fine LoadConfig "$(config "" "id: 'eight', name: 'new',")" \
		"$(changes_are '["add eight", "remove seven"]')"
	fine GetConfig "" '.config | .multicast_ttl == 7 and .worker_grace == 30 and
		.pinning == {o3: [0]} and (.rules | length) == 3'
	fine LoadConfig "$(config "multicast_ttl: 9," "id: 'eight', name: 'new',"), replace: true" \
		'[.changes[] | select(.rule_id).action] == ["change", "remove", "remove"]'
	fine GetConfig "" '.config == {multicast_ttl: 9, worker_grace: 60, stats_interval: 10,
		rules: [{id: "eight", name: "new", input: {interface: "in0", group: "239.1.1.7"},
			outputs: [{interface: "o2"}]}]}'
}

saving() {
	fine SaveConfig "path: '$tmp/dry.json5', dry_run: true" ".path == \"$tmp/dry.json5\""
	fine SaveConfig "" ".path == \"$tmp/relay.json5\""
	fine SaveConfig "path: '$tmp/saved.json5'" ".path == \"$tmp/saved.json5\""
	refused SaveConfig "path: 'saved.json5'" E_RANGE path
	refused SaveConfig "path: '$tmp/missing/x'" E_IO ""
	refused SaveConfig "path: 5" E_TYPE path
	refused SaveConfig "file: 'x'" E_UNKNOWN_KEY file
}

# --- looking back --------------------------------------------------------------------------------

levels() {
	fine SetGlobalLogLevel "level: 'debug', dry_run: true" 'length == 2'
	fine GetLogLevels "" '.global == "info"'
	fine SetGlobalLogLevel "level: 'warning'" 'length == 2'
	fine SetFacilityLogLevel "facility: 'stats', level: 'debug'" 'length == 2'
	fine SetFacilityLogLevel "facility: 'rules', level: 'err', dry_run: true" 'length == 2'
	fine GetLogLevels "" '.global == "warning" and .facility_overrides == {stats: "debug"}'
	fine SetFacilityLogLevel "facility: 'stats', level: 'default'" 'length == 2'
	fine SetGlobalLogLevel "level: 'info'" 'length == 2'
	fine GetLogLevels "" '.global == "info" and .facility_overrides == {}'
	refused SetGlobalLogLevel "" E_MISSING level
	refused SetGlobalLogLevel "level: 'loud'" E_RANGE level
	refused SetGlobalLogLevel "level: 'default'" E_RANGE level
	refused SetGlobalLogLevel "level: 3" E_TYPE level
	refused SetGlobalLogLevel "level: 'info', facility: 'stats'" E_UNKNOWN_KEY facility
	refused SetFacilityLogLevel "level: 'info'" E_MISSING facility
	refused SetFacilityLogLevel "facility: 'stats'" E_MISSING level
	refused SetFacilityLogLevel "facility: 'kitchen', level: 'info'" E_RANGE facility
	refused SetFacilityLogLevel "facility: 'stats', level: 'loud'" E_RANGE level
}

traces() {
	refused EnableTrace "name: 'new', every: 0" E_RANGE every
	refused EnableTrace "name: 'new', every: 1.5" E_RANGE every
	refused EnableTrace "name: 'new', every: 'all'" E_TYPE every
	refused EnableTrace "every: 1" E_MISSING ""
	refused EnableTrace "name: 'old'" E_NOT_FOUND name
	refused EnableTrace "name: 'new', head: 96" E_UNKNOWN_KEY head
	fine EnableTrace "name: 'new', every: 5, dry_run: true" 'length == 2'
	fine GetTrace "name: 'new'" '.every == 0 and .records == []'
	fine EnableTrace "rule_id: 'eight'" 'length == 2'
	fine GetTrace "rule_id: 'eight'" '.every == 1 and .records == []'
	fine EnableTrace "name: 'new', every: 3" 'length == 2'
	refused GetTrace "" E_MISSING ""
	refused GetTrace "rule_id: 'nine'" E_NOT_FOUND rule_id
	refused DisableTrace "rule_id: 'nine'" E_NOT_FOUND rule_id
	refused DisableTrace "rule_id: 'eight', every: 1" E_UNKNOWN_KEY every
}

records() {
	fine GetTrace "name: 'new'" '.every == 3 and (.records | length) == 3 and (.records |
		all(.age_ms >= 0 and .pid > 0 and .payload == 200 and (.head | length) == 192 and
		.source == "198.18.0.1" and .source_port > 0 and .group == "239.1.1.7" and
		.port == 5007 and .ttl > 1 and .dscp == 0))'
	fine DisableTrace "name: 'new', dry_run: true" 'length == 2'
	fine GetTrace "name: 'new'" '.every == 3'
	fine DisableTrace "name: 'new'" 'length == 2'
	fine GetTrace "name: 'new'" '.every == 0 and (.records | length) == 3'
}

# --- the other socket ----------------------------------------------------------------------------

readonly_socket() {
	local command
	for command in "${not_for_all[@]}"; do
		refused "$command" "" E_PERM command
		refused "$command" "dry_run: true" E_PERM command
	done
	for command in "${plain_questions[@]}"; do
		fine "$command" "" true
	done
	fine VersionCheck "protocol_version: 1" true
	fine CheckConfig "config: {}" .valid
	refused ShowRule "name: 'x'" E_NOT_FOUND name
}

# --- more rules than a reply holds ---------------------------------------------------------------

pages() {
	refused ListRules "" E_LIMIT limit
	refused GetStats "" E_LIMIT limit
	refused ListRules "limit: 0" E_RANGE limit
	refused ListRules "after: 'r9'" E_NOT_FOUND after
	refused ListRules "after: 9" E_TYPE after
	fine ListRules "limit: 2" '[.rules[].rule_id] == ["r1000", "r1001"] and .more'
	fine ListRules "limit: 2, after: 'r1998'" '[.rules[].rule_id] == ["r1999"] and (has("more") | not)'
	fine ListRules "limit: 1000" '(.rules | length) == 769 and .more'
	fine GetStats "limit: 1" '(.rules | length) == 1 and .more and has("workers") and has("interfaces")'
	fine GetStats "limit: 3, after: 'r1000'" '[.rules[].rule_id] == ["r1001", "r1002", "r1003"] and
		.more and (has("workers") | not)'
	fine LoadConfig "config: {}, replace: true" '(.changes | length) == 1000'
}

# Rules with 64 outputs, of interfaces that are not there.
many_outputs() {
	awk 'BEGIN {
		print "{ rules: ["
		for (i = 1000; i < 2000; i++) {
			printf "{ id: \"r%d\", input: { interface: \"gone0\", group: \"239.1.1.1\", " \
				"port: %d }, outputs: [", i, i
			for (o = 0; o < 64; o++)
				printf "{ interface: \"none%d\" }, ", o
			print "] },"
		}
		print "] }"
	}'
}

listed_once() {
	ctl relay --output json "$1" | jq -c '[.rules[].rule_id] == [range(1000; 2000) | "r\(.)"] and
		(has("more") | not)'
}

too_large() {
	head -c 70000 /dev/zero | tr '\0' ' ' | "$tmp/pipeline" "$tmp/relay-ro.sock" |
		jq -r .error_code
}

# --- all of it -----------------------------------------------------------------------------------

# Commands in the daemon's table that the above has left out.
not_asked() {
	sed -n 's/^\t{ "\([A-Z][A-Za-z]*\)", cmd_.*/\1/p' "$root/userspace/daemon/commands.c" |
		sort >"$tmp/all"
	sort -u "$tmp/asked" | comm -23 "$tmp/all" -
}

has_matched() {
	[ "$(ctl relay --output json show rule "$1" | jq .rule.packets_matched)" = "$2" ]
}

cc -O1 -o "$tmp/pipeline" "$root/tests/lib/pipeline.c" || bail "tests/lib/pipeline.c"
tb_up demo
echo '{ multicast_ttl: 7 }' >"$tmp/relay.json5"
start_mcrd relay "$tmp/relay.json5" || finish
asking questions
asking envelopes
asking adding
asking bad_rules
check "the worker gets ready" wait_for 10 mcrd_is_ready relay
asking telling
asking checking
asking loading
asking saving
check_fails "a dry run saves nothing" test -e "$tmp/dry.json5"
check "what was saved is what runs" cmp <(jq -S . "$tmp/saved.json5") \
	<(ctl relay --output json config show | jq -S .config)
asking levels
asking traces
check "the worker is ready" wait_for 10 mcrd_is_ready relay
gen src a --interface s0 --group 239.1.1.7 --port 5007 --count 9 --size 200
check "nine datagrams arrive" wait_for 5 has_matched new 9
asking records
asking igmp
asking mroutes
asking removing
asking readonly_socket -ro
check_equal "the read-only socket takes 64 KiB" "$(too_large)" E_TOO_LARGE
check_equal "every command was asked" "$(not_asked)" ""
check_equal "the daemon's table was found" "$([ -s "$tmp/all" ] && echo yes)" yes
many_outputs >"$tmp/many.json5"
check "rules with 64,000 outputs" ctl relay config load --replace --file "$tmp/many.json5"
for command in list stats; do
	check_equal "mcrctl $command has each of them, from pages" "$(listed_once "$command")" true
done
asking pages
stop_mcrd relay
finish
