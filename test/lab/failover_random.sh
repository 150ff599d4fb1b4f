#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# full on: trixie
# timeout: 500
#
# A stream of messages with verified contents for five minutes, while links are cut
# and healed at random; in the end all links that carried before carry again.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

CUT_TIME=${VMP_TEST_SECONDS:-300}
STREAM_PORT=16900

# carriers SECONDS: sets CARRIERS to the links that carry 5 % or more of what all
# carry in that time
carriers()
{
    local i

    CARRIERS=
    counters_reset
    sleep "$1"
    counters_read
    for i in "${!LINK_AB[@]}"; do
        if [ $((LINK_AB[i] * 20)) -ge "$SUM_AB" ]; then
            CARRIERS+=" $((i + 1))"
        fi
    done
    say "bytes a link: ${LINK_AB[*]}"
}

failover_start
seed=${VMP_TEST_SEED:-$(date +%s)}
say "seed $seed"
settings=("${TEST_ENV[@]}" UCX_VMP_NUM_PATHS=16)
seconds=$((CUT_TIME + 45))
: >"$OUT/server"
pair $((seconds + 60)) $STREAM_PORT \
     env "${settings[@]}" "${LAUNCH[@]}" \
     "$LIBEXEC/vmp_stream" -p $STREAM_PORT -d "$seconds" -- \
     env "${settings[@]}" "${LAUNCH[@]}" \
     "$LIBEXEC/vmp_stream" -p $STREAM_PORT -d "$seconds" b &
pid=$!
for ((i = 0; i < 100; i++)); do
    ! grep -aq begins "$OUT/server" || break
    sleep 0.2
done
carriers 4
before=$CARRIERS
cutting cutter_random "$CUT_TIME" "$seed"
for ((i = 0; i < CUT_TIME + 30; i++)); do
    kill -0 "$cutter_pid" 2>/dev/null || break
    sleep 1
done
cutting_end "cuts at random"
sleep 10
carriers 6
if ! wait $pid || ! grep -aq 'vmp_stream: .*PASS' "$OUT/server"; then
    problem "the stream ends: $(grep -ah FAIL "$OUT/client" "$OUT/server" |
                                head -n 1)"
    show "$OUT/client" "$OUT/server"
fi
for link in $before; do
    case "$CARRIERS " in
        *" $link "*) ;;
        *) problem "link $link carried before the cuts, and does not now" ;;
    esac
done
lab_end
