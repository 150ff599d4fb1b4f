#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 300
#
# 16 paths: bytes on at least three links, and clearly more than rc_verbs carries
# on its one path in the same run. How much more is for contrib/bench/paths to
# show (docs/benchmarks.md). Random hashing decides the rest; 16 paths fall on two
# links or fewer once in ten thousand runs.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=3
RATIO=1.4

# Sets BW to that of the stock transport on one path
baseline()
{
    local test_env=("${TEST_ENV[@]}") launch=("${LAUNCH[@]}") tls=$TLS

    TLS=rc_verbs,ud_verbs
    TEST_ENV=(UCX_TLS="$TLS" UCX_IB_GID_INDEX=2 UCX_LOG_LEVEL=info)
    LAUNCH=()
    perf "rc_verbs, one path" "$1" 1048576 12 "${ZCOPY_ENV[@]}"
    TEST_ENV=("${test_env[@]}") LAUNCH=("${launch[@]}") TLS=$tls
}

compare()
{
    local test=$1 i one=() many=() used ratio

    for ((i = 0; i < ROUNDS; i++)); do
        baseline "$test"
        one+=("$BW")
        perf "16 paths" "$test" 1048576 40 UCX_VMP_NUM_PATHS=16 \
             "${ZCOPY_ENV[@]}"
        many+=("$BW")
        used=$(links_used "${LINK_AB[@]}")
        say "bytes a link: ${LINK_AB[*]}"
        if [ "$used" -lt 3 ]; then
            problem "$test: traffic on $used of $links links only"
        fi
    done
    ratio=$(calc "$(median "${many[@]}") / ($(median "${one[@]}") + 1e-9)")
    say "$test: median of $ROUNDS: 16 paths carry $ratio times as much" \
        "(${many[*]} against ${one[*]} MB/s)"
    if [ "$(calc "$ratio >= $RATIO")" != 1 ]; then
        problem "$test: $ratio times rc_verbs on one path, less than $RATIO"
    fi
}

lab_start
[ "$links" -ge 4 ] || skip "needs four links"
compare "${MULTIPATH_TEST:-ucp_put_bw}"
lab_end
