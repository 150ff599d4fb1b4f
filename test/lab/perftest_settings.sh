#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# ucx_perftest with UCX's own settings that change how it uses a transport, and
# what is left out of all tests with ucx_perftest, with the run that says why.
# All of vmp's settings: settings_pairs.sh.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_perftest.sh
. "$LAB_TEST_DIR/lib_perftest.sh"

lab_start
# Messages that go by rendezvous
list large <<'END'
tag_lat -t tag_lat   -s 100001  -n 4
tag_bw  -t tag_bw    -s 1048577 -n 2
iov     -t tag_bw    -s 70001,60000 -D iov,contig -n 4
am      -t ucp_am_bw -s 300000  -n 4
END
list types <<'END'
tag_lat -t tag_lat
tag_bw  -t tag_bw
am      -t ucp_am_bw
stream  -t stream_bw
put     -t ucp_put_bw
get     -t ucp_get
END
list sizes <<'END'
8       -s 8       -n 10
5001    -s 5001    -n 10
300001  -s 300001  -n 3
END
# UCX 1.13 has its new protocols off by default, 1.18 on, and its lines of
# lanes come with the table only
for proto in y n; do
    for scheme in get_zcopy put_zcopy am get_ppln put_ppln rkey_ptr; do
        perf_batch "UCX_PROTO_ENABLE=$proto UCX_RNDV_SCHEME=$scheme" 60 \
                   "$OUT/large" "" UCX_PROTO_ENABLE=$proto \
                   UCX_PROTO_INFO=y UCX_RNDV_SCHEME=$scheme
    done
    perf_batch "UCX_PROTO_ENABLE=$proto" 60 "$OUT/types" "$OUT/sizes" \
               UCX_PROTO_ENABLE=$proto UCX_PROTO_INFO=y
    perf_batch "UCX_PROTO_ENABLE=$proto, peer error handling" 60 \
               "$OUT/types" "$OUT/sizes" UCX_PROTO_ENABLE=$proto \
               UCX_PROTO_INFO=y -- -e
done
for setting in UCX_RNDV_THRESH=inf UCX_RNDV_THRESH=0 UCX_ZCOPY_THRESH=0 \
               UCX_ADAPTIVE_PROGRESS=n UCX_UNIFIED_MODE=y; do
    perf_batch $setting 60 "$OUT/types" "$OUT/sizes" $setting
done

list types <<'END'
sleep_tag_lat    -I -E sleep -t tag_lat
sleep_tag_bw     -I -E sleep -t tag_bw
sleep_iov        -I -E sleep -t tag_lat -D iov,contig
sleep_sync       -I -E sleep -t tag_sync_lat
sleep_stream     -I -E sleep -t stream_lat
sleep_am         -I -E sleep -t ucp_am_lat
sleep_get        -I -E sleep -t ucp_get
sleep_errors     -I -E sleep -t tag_lat -e
wakeup_tag_lat   -I -t tag_lat
END
perf_batch "sleeping" 60 "$OUT/types" "$OUT/sizes"
perf_batch "sleeping, UCX_ADAPTIVE_PROGRESS=n" 60 "$OUT/types" "$OUT/sizes" \
           UCX_ADAPTIVE_PROGRESS=n

tcp=tcp,self rc=rc_verbs,ud_verbs,self
their="-x tcp -d eth0" our="-x ${TLS%%,*} -d rxe0:1"
for test in add_lat add_mr fadd swap cswap; do
    perf_excluded $tcp \
                  "the transport has no atomics (UCP makes them of messages)" \
                  "uct_$test -t $test -n 10" "$their" "$our" $NO_GGA
done
perf_excluded $tcp "UCX 1.18 has no atomics with error handling" \
              "fadd_errors -t ucp_fadd -e -n 10" "" ""
perf_excluded $tcp "the responder does not progress, which UCP needs" \
              "put_not_helped -t ucp_put_bw -s 8193 -n 10 -o" "" ""
perf_excluded $rc "RDMA writes wake nobody who waits for the memory" \
              "sleep_put -t ucp_put_bw -I -E sleep -s 8193 -n 10" "" ""
lab_end
