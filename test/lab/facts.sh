#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# full on: trixie
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

# have TEXT WHAT: a fact that begins so, or what is wrong
have()
{
    grep -qE "^fact: $1" "$OUT/facts" || problem "$2"
}

# both NAME: in this crossing all requests end, and each side's rq_psn is the number
# of packets in its memory; one more if the short second request got through, which
# goes where the first one began
both()
{
    local side wr executed psn

    for side in 0 1; do
        for wr in 1 2; do
            have "$1: side $side, WR $wr: .* after " \
                "$1: request $wr of side $side does not end"
        done
        read -r executed psn < <(sed -nE "s/^fact: $1: side $side, packets \
executed ([0-9]+), rq_psn ([0-9]+)\$/\1 \2/p" "$OUT/facts") || executed=-2
        [ "$executed" = "${psn:-}" ] || [ "$((executed + 1))" = "${psn:-}" ] ||
            problem "$1: side $side executed $executed packets, rq_psn ${psn:-?}"
    done
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

# The barrier (R6): LAST_WQE_REACHED, however a QP came to its end
last='last WQE reached'
have "modify to ERR, QP with an SRQ, idle: $last" "no $last after modify to ERR"
have "QP that failed by its own retries: $last" \
    "no $last of a QP that failed by its own retries"
have "responder that refused it: $last; state ERR" \
    "a responder that refuses does not go to ERR, or does not say so"
have "requester that was refused: $last" "no $last of a requester that was refused"

# Nothing takes effect behind it, and rq_psn tells what did (R7)
have 'rq_psn in ERR fits memory in 8 of 8 at once, 8 at the end' \
    "rq_psn does not say what was executed"
have 'packets executed after modify to ERR returned: 0 in' \
    "a responder goes on in ERR"

# The failure of one side is silence to the other, which ends by itself
have 'write to a QP that is in ERR: transport retry counter exceeded' \
    "a write to a QP in ERR does not end by its retries"
have 'write to a QP that is destroyed: transport retry counter exceeded' \
    "a write to a QP that is destroyed does not end by its retries"
have 'the writer sees: transport retry counter exceeded' \
    "a long write that was cut short does not end by its retries"
have 'write with a wrong key: remote access error' \
    "a refused write does not end with an access error"

# A buffer is lost at most, and completions are not: they are drained before destroy
have 'message half there: the sender sees ' "no end of a message that was half there"
have 'message half there: the receiver sees (nothing|.* after)' \
    "nothing is known of the receiver of a message that was half there"
have 'of 8 buffers [78] could be used afterwards' \
    "more than one receive buffer is lost with a QP"
have 'of 4 completions not polled, after RESET there are 4' \
    "RESET purges the CQ: say so in docs/protocol.md"
have 'of 4 arrivals not polled, after destroy there are 4' \
    "destroy purges the CQ: say so in docs/protocol.md"

# Recycled at once they would meet late packets within the quarantine, too
have 'QP made and destroyed 16 times: 0 times' "QP numbers are used again at once"

# Both sides at a time
both 'one side to ERR'
both 'both to ERR'
both 'wrong key on side 0'
both 'links cut'
lab_end
