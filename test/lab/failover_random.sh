#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# A stream of messages with verified contents for five minutes, while links are cut
# and healed at random, and beside it all kinds of operations, both ways, with
# default settings. In the end all links that carried before carry again, and the
# stream's two processes have no more memory, files and QPs than after a fifth of
# the time.
#
# VMP_TEST_CUT_SECONDS  another time than 300 s; more only by hand, since it is
#                       beyond the time limit above

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

CUT_TIME=${VMP_TEST_CUT_SECONDS:-300}
STREAM_PORT=16900
# What may be more at the end: KiB for buffers of which more were in flight at
# once, QPs that go or come at the moment
RSS_SLACK=6144 FDS_SLACK=2 QPS_SLACK=8

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

# has HOST: resident KiB, open files and QPs of the stream there
has()
{
    # shellcheck disable=SC2016 # for the shell over there
    on "$1" 20 bash -euc '
        pid=$(pgrep -x vmp_stream)
        rss=$(sed -n "s/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$pid/status")
        set -- "/proc/$pid/fd/"*
        echo "$rss $# $(rdma resource show qp | grep -cw "pid $pid")"' ||
        echo "0 0 0"
}

# grown HOST RSS FDS QPS: what it has now is no more than that
grown()
{
    local host=$1 rss fds qps

    read -r rss fds qps < <(has "$host")
    say "host $host: $2 KiB, $3 files, $4 QPs; at the end $rss, $fds, $qps"
    if [ "$2" = 0 ] || [ "$4" = 0 ] || [ "$rss" = 0 ] || [ "$qps" = 0 ]; then
        problem "host $host: the stream's process is not found"
    fi
    # Then some paths may have been without a QP
    if [ "$rss" -gt $(($2 + RSS_SLACK)) ] ||
       [ "$fds" -gt $(($3 + FDS_SLACK)) ] ||
       [ "$qps" -gt $((($4 > NUM_PATHS ? $4 : NUM_PATHS) + QPS_SLACK)) ]; then
        problem "host $host: the stream's process has grown"
    fi
}

# What else goes on: until a minute is left, since each takes a while
beside()
{
    local left=$((begin + CUT_TIME - SECONDS))

    if [ $left -lt 60 ]; then
        sleep 1
        return 0
    fi
    # The stream's resources stay, and its output is elsewhere
    RESOURCES_A='' OUT=$OUT/beside integrity "beside it" "-n 25" "$quick"
    num_beside=$((num_beside + 1))
}

failover_start
NUM_PATHS=16
seed=${VMP_TEST_SEED:-$(date +%s)}
say "seed $seed"
settings=("${TEST_ENV[@]}" UCX_VMP_NUM_PATHS="$NUM_PATHS")
seconds=$((CUT_TIME + 120))
mkdir "$OUT/beside"
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
# shellcheck disable=SC2034 # lib_integrity.sh uses it
integrity_limit=110
begin=$SECONDS num_beside=0 has_a='' has_b=''
cutting cutter_random "$CUT_TIME" "$seed"
while kill -0 "$cutter_pid" 2>/dev/null &&
      [ $((SECONDS - begin)) -lt $((CUT_TIME + 30)) ]; do
    # By then pools have what they need
    if [ -z "$has_a" ] && [ $((SECONDS - begin)) -ge $((CUT_TIME / 5)) ]; then
        has_a=$(has a)
        has_b=$(has b)
    fi
    beside
done
cutting_end "cuts at random"
cuts_shown "cuts at random" 0
[ "$cuts" -ge $((CUT_TIME / 10)) ] || problem "$cuts links cut in $CUT_TIME s"
say "$num_beside runs of vmp_integrity beside it"
[ "$num_beside" -gt 0 ] || [ "$CUT_TIME" -lt 60 ] ||
    problem "nothing ran beside the stream"
sleep 10
carriers 6
# shellcheck disable=SC2086 # three numbers
{
    grown a ${has_a:-0 0 0}
    grown b ${has_b:-0 0 0}
}
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
