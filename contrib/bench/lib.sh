#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What the benchmarks share: contestants that take turns, and statistics.

# shellcheck source-path=SCRIPTDIR source=../../test/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/lab/lib.sh"

# Who runs next: bench_use_rc_verbs, bench_use_vmp [NAME=VALUE...]. Settings go
# with perf, too.
bench_use_rc_verbs()
{
    TLS=rc_verbs,ud_verbs
    # ud_verbs, which sets up its connections, needs an IPv6 GID here
    TEST_ENV=(UCX_TLS="$TLS" UCX_IB_GID_INDEX=2 UCX_LOG_LEVEL=info)
    LAUNCH=()
}

bench_use_vmp()
{
    TLS=vmp
    TEST_ENV=(UCX_TLS=vmp UCX_LOG_LEVEL=info "$@")
    LAUNCH=(vmprun)
}

# bench_summary NUMBERS [FORMAT]: median, lowest and highest
bench_summary()
{
    # shellcheck disable=SC2086 # numbers
    printf '%s\n' $1 | LC_ALL=C sort -g | awk -v f="${2:-%.1f}" '
        { v[NR] = $1 }
        END { k = int((NR + 1) / 2)
              printf f " (" f "-" f ")", (v[k] + v[NR + 1 - k]) / 2, v[1],
                     v[NR] }'
}

# bench_ratios NUMBERS NUMBERS: first by second, round by round
bench_ratios()
{
    # shellcheck disable=SC2086 # numbers
    paste -d ' ' <(printf '%s\n' $1) <(printf '%s\n' $2) |
        awk '{ printf " %.4f", $1 / ($2 + 1e-9) }'
}

# bench_counters: sets PACKETS and BYTES of all links, both ways, since the
# last reset, and LINKS_BUSY, how many of them carried payload
bench_counters()
{
    local numbers

    counters_read
    # shellcheck disable=SC2034 # the benchmarks use it
    BYTES=$((SUM_AB + SUM_BA))
    # shellcheck disable=SC2034
    LINKS_BUSY=$(links_used "${LINK_AB[@]}")
    mapfile -t numbers < <("$VMPLAB" counters --json |
                           grep -oE '"packets": *[0-9]+' | grep -oE '[0-9]+')
    # The last one is the management network's
    # shellcheck disable=SC2034
    PACKETS=$(printf '%s\n' "${numbers[@]::${#numbers[@]}-1}" |
              awk '{ sum += $1 } END { print sum }')
}

# bench_is_rounds N: a number of rounds
bench_is_rounds()
{
    case $1 in
        '' | *[!0-9]* | 0) return 1 ;;
    esac
}

# Ends a benchmark: what was not as it should be
bench_end()
{
    [ $failures -gt 0 ] || return 0
    echo
    echo "$failures runs were not as they should be:"
    grep -A 8 FAIL "$OUT/log" || true
    exit 1
}
