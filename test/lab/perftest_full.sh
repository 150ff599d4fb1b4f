#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# All tests of ucx_perftest above UCP that UCX's packaged lists have (test_types_
# ucp, _ucp_rma, _ucp_amo, msg_pow2_iov), in sizes from 1 byte to 4 MiB, most of
# them odd ones or beside a limit. Not in here: memory of GPUs.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_perftest.sh
. "$LAB_TEST_DIR/lib_perftest.sh"

lab_start

list types <<'END'
tag_lat      -t tag_lat
tag_bw       -t tag_bw
tag_sync_lat -t tag_sync_lat
tag_sync_bw  -t tag_sync_bw
stream_lat   -t stream_lat
stream_bw    -t stream_bw
am_lat       -t ucp_am_lat
am_bw        -t ucp_am_bw
put_lat      -t ucp_put_lat
put_bw       -t ucp_put_bw
get          -t ucp_get
END
# Limits of vmp and of the device: 96 bytes inline, packets of 4096, UCX_VMP_
# SPREAD_THRESH 4096, SEG_SIZE 8192 (less UCP's headers), CHUNK_SIZE 32768,
# PATH_WINDOW 131072
list small <<'END'
1       -s 1       -n 30
2       -s 2       -n 30
7       -s 7       -n 30
8       -s 8       -n 30
64      -s 64      -n 30
88      -s 88      -n 30
97      -s 97      -n 30
1023    -s 1023    -n 30
4064    -s 4064    -n 20
4096    -s 4096    -n 20
4097    -s 4097    -n 20
8176    -s 8176    -n 20
8192    -s 8192    -n 20
8193    -s 8193    -n 20
END
list large <<'END'
32767   -s 32767   -n 10
32769   -s 32769   -n 10
131073  -s 131073  -n 5
1048575 -s 1048575 -n 3
4194304 -s 4194304 -n 2
END
perf_batch "small sizes" 280 "$OUT/types" "$OUT/small"
perf_batch "large sizes" 280 "$OUT/types" "$OUT/large"

list types <<'END'
iov_contig_tag_lat -t tag_lat -D iov,contig
iov_iov_tag_lat    -t tag_lat -D iov,iov
iov_contig_tag_bw  -t tag_bw -D iov,contig
iov_iov_tag_bw     -t tag_bw -D iov,iov
END
list sizes <<'END'
1024  -s 512,512                     -i 8192 -n 10
3000  -s 1500,1500                   -i 8192 -n 10
10000 -s 5000,5000                   -i 8192 -n 10
25000 -s 4308,4308,8192,8192         -i 8192 -n 10
45000 -s 8192,8192,8192,6116,6116,8192 -i 8192 -n 10
300001 -s 100000,100000,100001       -i 131072 -n 4
END
perf_batch "scattered data" 120 "$OUT/types" "$OUT/sizes"

# ucx_perftest's threads share the list of pieces, each fills it with its own: only
# sizes that are copied, as no piece is registered then
list types <<'END'
threads_iov_contig_tag_lat -t tag_lat -D iov,contig -T 2
threads_iov_iov_tag_lat    -t tag_lat -D iov,iov -T 2
END
list sizes <<'END'
1024  -s 512,512                     -i 8192 -n 10
3000  -s 1500,1500                   -i 8192 -n 10
10000 -s 5000,5000                   -i 8192 -n 10
END
perf_batch "scattered data, two threads" 60 "$OUT/types" "$OUT/sizes"

list types <<'END'
prereg_tag_bw    -t tag_bw -z
unexp_tag_lat    -t tag_lat -U
unexp_tag_bw     -t tag_bw -U
wild_tag_lat     -t tag_lat -C
stream_data_bw   -t stream_bw -r recv_data
stream_data_lat  -t stream_lat -r recv_data
am_header        -t ucp_am_bw -H 40
threads_tag_lat  -t tag_lat -T 2
threads_tag_bw   -t tag_bw -T 2
serialized       -t tag_lat -M serialized
multi            -t tag_bw -M multi
one_at_a_time    -t tag_bw -O 1
many_at_a_time   -t ucp_put_bw -O 300
nonblock         -t ucp_put_bw -B
get_not_helped   -t ucp_get -o
END
list sizes <<'END'
8       -s 8       -n 30
4097    -s 4097    -n 20
8193    -s 8193    -n 20
100001  -s 100001  -n 5
1048577 -s 1048577 -n 2
END
perf_batch "variants" 200 "$OUT/types" "$OUT/sizes"

list types <<'END'
add   -t ucp_add
fadd  -t ucp_fadd
swap  -t ucp_swap
cswap -t ucp_cswap
END
list sizes <<'END'
4 -s 4 -n 30
8 -s 8 -n 30
END
perf_batch "atomics, by messages" 60 "$OUT/types" "$OUT/sizes"
perf_complete /dev/null test_types_ucp test_types_ucp_rma test_types_ucp_amo
lab_end
