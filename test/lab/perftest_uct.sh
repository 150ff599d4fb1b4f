#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# All tests of ucx_perftest below UCP that UCX's packaged list (test_types_uct)
# has: each operation in each data layout, up to the limits that the transport
# states, and one byte more, which is refused.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_perftest.sh
. "$LAB_TEST_DIR/lib_perftest.sh"

# limit NAME: what the transport states, in bytes
limit()
{
    on a 30 "${LAUNCH[@]}" ucx_info -d 2>/dev/null |
        sed -n "/Transport: ${TLS%%,*}\$/,/^\$/s/.* $1: <= \([0-9]*\)\(K\?\).*/\1 \2/p" |
        awk 'NR == 1 { print $1 * ($2 == "K" ? 1024 : 1) }'
}

# uct WHAT [SETTING...]
uct()
{
    local what=$1

    shift
    perf_batch "$what" 120 "$OUT/types" "$OUT/sizes" $NO_GGA "$@" \
               -- "${device[@]}"
}

# sizes BYTES...: scattered where there is a comma
sizes()
{
    local size count options

    for size; do
        count=20 options=
        case $size in
            *,*) options="-i 8192" ;;
            ???????*) count=3 ;;
        esac
        echo "${size//,/+} -s $size -n $count $options"
    done >"$OUT/sizes"
}

# refused SIZE: no result, and no crash
refused()
{
    echo "$1 -s $1 -n 5" >"$OUT/sizes"
    batch_run 60 "$OUT/types" "$OUT/sizes" $NO_GGA -- "${device[@]}" || true
    if [ -n "$(batch_results)" ] ||
       grep -aqiE 'assert|caught signal|backtrace' "$OUT/client" "$OUT/server"
    then
        problem "$1 bytes are not refused in good order"
        show "$OUT/client" "$OUT/server"
    else
        say "$1 bytes are refused:" \
            "$(grep -aho 'ERROR .*' "$OUT/client" | sort -u | head -n 2 |
               paste -sd ';')"
    fi
}

lab_start
device=(-x "${TLS%%,*}" -d rxe0:1)
# Before 1.18 ucx_perftest does not fence off the last put of a stream, the one
# that its peer waits for: over several paths an earlier one may come after it
# and overwrite it. There streams of puts keep to one path.
one_path=()
! ucx_is_before 1.18 || one_path=(UCX_VMP_SPREAD_THRESH=inf)
short=$(limit am_short) bcopy=$(limit am_bcopy)
if [ -z "$short" ] || [ -z "$bcopy" ]; then
    fail "ucx_info -d states no limits"
fi

list types <<'END'
am_short_lat     -t am_lat -D short
am_short_iov_lat -t am_lat -D shortiov
am_short_bw      -t am_bw -D short
am_short_iov_bw  -t am_bw -D shortiov
am_short_bw_w1   -t am_bw -D short -W 1
am_short_bw_o300 -t am_bw -D short -O 300
put_short_bw     -t put_bw -D short
put_short_lat    -t put_lat -D short
END
sizes 8 9 33 64 "$short"
uct "short"
refused $((short + 1))

list types <<'END'
am_bcopy_lat    -t am_lat -D bcopy
am_bcopy_bw     -t am_bw -D bcopy
am_bcopy_bw_w2  -t am_bw -D bcopy -W 2
am_bcopy_bw_sig -t am_bw -D bcopy -A signal
put_bcopy_lat   -t put_lat -D bcopy
get_bcopy       -t get -D bcopy
END
sizes 8 97 1023 4064 4065 4097 $((bcopy - 1)) "$bcopy"
uct "bcopy"
list types <<'END'
put_bcopy_bw -t put_bw -D bcopy
END
uct "streams of puts by bcopy" "${one_path[@]}"
refused $((bcopy + 1))

list types <<'END'
am_zcopy_lat   -t am_lat -D zcopy
am_zcopy_bw    -t am_bw -D zcopy
am_zcopy_mutex -t am_bw -D zcopy -A thread_mutex
END
sizes 9 97 1023 4065 4097 "$bcopy" 16,4000,97
uct "messages by zcopy"

list types <<'END'
put_zcopy_lat -t put_lat -D zcopy
get_zcopy     -t get -D zcopy
END
# Not in UCX 1.13
! on a 20 bash -c 'ucx_perftest -h 2>&1 | grep -q "^ *get_bw "' ||
    echo "get_zcopy_bw   -t get_bw -D zcopy" >>"$OUT/types"
sizes 1 7 97 4097 8193 32767 32769 131073 1048577 4194304 16,4000,97
uct "puts and gets by zcopy"
list types <<'END'
put_zcopy_bw  -t put_bw -D zcopy
put_zcopy_o1  -t put_bw -D zcopy -O 1
END
uct "streams of puts by zcopy" "${one_path[@]}"

# See perftest_settings.sh
list left_out <<'END'
add_lat -t add_lat
add_mr  -t add_mr
fadd    -t fadd
swap    -t swap
cswap   -t cswap
END
perf_complete "$OUT/left_out" test_types_uct
lab_end
