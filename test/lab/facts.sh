#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 240
#
# What soft-RoCE does when QPs die (docs/protocol.md, "What devices do"):
# prints it, and fails where that differs from what recovery relies on.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# all cut|heal
all()
{
    local i

    for ((i = 1; i <= links; i++)); do
        "$VMPLAB" link "$i" "$1"
    done
}

# shellcheck disable=SC2317 # called at exit
heal()
{
    all heal
}

# have TEXT WHAT
have()
{
    grep -qE "^fact: $1" "$OUT/facts" || problem "$2"
}

lab_start
[ "$TLS" = vmp ] || skip "is about the device itself"
at_exit heal
on b 180 "$LIBEXEC/vmp_facts" rxe0 >"$OUT/server" 2>&1 &
for ((i = 0; i < 50; i++)); do
    ! grep -q listening "$OUT/server" || break
    sleep 0.2
done
coproc FACTS { "$VMPLAB" exec a --timeout 180 -- \
    "$LIBEXEC/vmp_facts" rxe0 b 2>&1; }
# shellcheck disable=SC2153 # coproc sets it
facts_pid=$FACTS_PID
exec 3<&"${FACTS[0]}" 4>&"${FACTS[1]}"
while IFS= read -r -t 170 line <&3; do
    case $line in
        @*)
            all "${line#@}"
            echo "done" >&4
            ;;
        *)
            echo "$line"
            echo "$line" >>"$OUT/facts"
            ;;
    esac
done
wait "$facts_pid" || true
grep -qx PASS "$OUT/facts" || { show "$OUT/server"; fail "vmp_facts fails"; }
have 'modify to ERR, QP with an SRQ, idle: last WQE reached' \
    "LAST_WQE_REACHED does not come"
have 'rq_psn in ERR fits memory in 8 of 8 at once, 8 at the end' \
    "rq_psn does not say what was executed"
have 'packets executed after modify to ERR returned: 0 in' \
    "a responder goes on in ERR"
lab_end
