# SPDX-License-Identifier: MIT
# Completion for mcrctl in bash. What there is to complete comes from mcrctl help and mcrctl list,
# so this file knows no command by name but for those whose values it looks up.

# Options in the help of a command, or without one those of all.
_mcrctl_options()
{
	mcrctl help "$@" 2>/dev/null | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'
}

_mcrctl_commands()
{
	mcrctl help 2>/dev/null | sed -n '/^commands/,/^$/s/^  \([a-z-]*\).*/\1/p' | sort -u
	echo help
}

# Second words of commands that have two.
_mcrctl_second()
{
	mcrctl help 2>/dev/null | sed -n "s/^  $1 \([a-z]*\) .*/\1/p"
}

_mcrctl_rules()
{
	mcrctl --output json list 2>/dev/null | grep -o "\"$1\": *\"[^\"]*\"" | cut -d '"' -f 4
}

# Values of the option before the cursor; false when it takes something else.
_mcrctl_values()
{
	case $1 in
	--datapath) echo auto xdp afxdp afpacket ;;
	--input-protocol) echo udp esp ;;
	--input-interface) ls /sys/class/net ;;
	--name) _mcrctl_rules name ;;
	--rule-id) _mcrctl_rules rule_id ;;
	--global | --level) echo emerg alert crit err warning notice info debug ;;
	--facility)
		echo supervisor rules control dataplane ingress egress stats security network
		;;
	*) return 1 ;;
	esac
}

_mcrctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local words=() choices i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--instance | --socket-path | --timeout) ((i++)) ;;
		-*) ;;
		table | json) ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
	COMPREPLY=()
	if [[ $before == --file || $before == --socket-path ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
	fi
	if [[ $before == --output && ${words[0]-} != add ]]; then
		choices='table json'
	elif choices=$(_mcrctl_values "$before"); then
		:
	elif [[ $word == -* ]]; then
		choices=$(_mcrctl_options; [[ ${#words[@]} -eq 0 ]] || _mcrctl_options "${words[@]:0:2}" ||
			_mcrctl_options "${words[0]}")
	elif [[ ${#words[@]} -eq 0 ]]; then
		choices=$(_mcrctl_commands)
	elif [[ ${words[*]} =~ ^(show\ rule|trace\ [a-z]+)$ ]]; then
		choices=$(_mcrctl_rules name; _mcrctl_rules rule_id)
	elif [[ ${words[0]} == help && ${#words[@]} -eq 1 ]]; then
		choices=$(_mcrctl_commands)
	elif [[ ${words[0]} == help ]]; then
		choices=$(_mcrctl_second "${words[1]}")
	elif [[ ${#words[@]} -eq 1 ]]; then
		choices=$(_mcrctl_second "${words[0]}")
	fi
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
}

complete -F _mcrctl mcrctl
