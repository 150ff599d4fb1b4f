#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1000
#
# ucx_perftest with UCX's own settings that change how it uses a transport, every
# value of each with every value of every other one, in few rows; and what is
# left out of all tests with ucx_perftest, with the run that says why. All of
# vmp's settings: settings_pairs.sh.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_perftest.sh
. "$LAB_TEST_DIR/lib_perftest.sh"

TABLE=$LAB_TEST_DIR/perftest_settings.tab
PAIRS=$LAB_TEST_DIR/pairs.awk

lists()
{
    list polling <<'END'
tag_lat -t tag_lat
tag_bw  -t tag_bw
am      -t ucp_am_bw
stream  -t stream_bw
put     -t ucp_put_bw
get     -t ucp_get
END
    # Nobody is woken by puts and gets of another one: see below
    list sleeping <<'END'
sleep_tag_lat    -I -E sleep -t tag_lat
sleep_tag_bw     -I -E sleep -t tag_bw
sleep_iov        -I -E sleep -t tag_lat -D iov,contig
sleep_sync       -I -E sleep -t tag_sync_lat
sleep_stream     -I -E sleep -t stream_lat
sleep_am         -I -E sleep -t ucp_am_lat
wakeup_tag_lat   -I -t tag_lat
END
}

# run_row NUMBER WORD...: words as pairs.awk prints them
run_row()
{
    local number=$1 what word size types=polling settings=() options=()

    shift
    for word; do
        word=${word#*.}
        case $word in
            *=-) ;;
            ERRORS=*) options+=("${word#*=}") ;;
            SLEEP=*) types=sleeping ;;
            SIZE=*) size=${word#*=} ;;
            *) settings+=("$word") ;;
        esac
    done
    list sizes <<END
$size   -s $size   -n 10
300001  -s 300001  -n 3
END
    # UCX's lines of lanes come with the new protocols' table only
    what="$types, $size bytes, ${settings[*]} ${options[*]}"
    perf_batch "row $number, $what" 90 "$OUT/$types" "$OUT/sizes" UCX_PROTO_INFO=y \
               ${settings[@]+"${settings[@]}"} -- \
               ${options[@]+"${options[@]}"}
}

lab_start
lists
awk -f "$PAIRS" "$TABLE" >"$OUT/rows" || fail "no rows"
awk -v check="$OUT/rows" -f "$PAIRS" "$TABLE" ||
    fail "pairs.awk leaves out pairs"
mapfile -t rows <"$OUT/rows"
for i in "${!rows[@]}"; do
    # shellcheck disable=SC2086 # words
    run_row $((i + 1)) ${rows[i]}
done

tcp=tcp,self rc=rc_verbs,ud_verbs,self
their="-x tcp -d eth0" our="-x ${TLS%%,*} -d rxe0:1"
for test in add_lat add_mr fadd swap cswap; do
    perf_excluded $tcp \
                  "the transport has no atomics (UCP makes them of messages)" \
                  "uct_am_lat -t am_lat -n 10" "uct_$test -t $test -n 10" \
                  "$their" "$our" $NO_GGA
done
perf_excluded $tcp "UCX 1.18 has no atomics with error handling" \
              "fadd -t ucp_fadd -n 10" "fadd_errors -t ucp_fadd -e -n 10" "" ""
perf_excluded $tcp "the responder does not progress, which UCP needs" \
              "put_helped -t ucp_put_bw -s 8193 -n 10" \
              "put_not_helped -t ucp_put_bw -s 8193 -n 10 -o" "" ""
perf_excluded $rc "RDMA writes wake nobody who waits for the memory" \
              "put_awake -t ucp_put_bw -s 8193 -n 10" \
              "sleep_put -t ucp_put_bw -I -E sleep -s 8193 -n 10" "" ""
perf_excluded $rc "the target sleeps as often, and RDMA reads wake nobody" \
              "get_awake -t ucp_get -s 8 -n 1000" \
              "sleep_get -t ucp_get -I -E sleep -s 8 -n 1000" "" ""
lab_end
