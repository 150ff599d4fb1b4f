#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# Every value of every UCX_VMP_* option with every value of every other one, on
# one host and across the two, and with those of UCX's own settings, of error
# handling, sleeping and more workers: rows from settings.tab by pairs.awk, each a
# short run of vmp_integrity with contents checked.
#
# Environment:
#   VMP_TEST_SEED   seed of the first row (printed; the next row's is one more)
#   VMP_TEST_ROWS   only these rows, as "3 17"

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

TABLE=$LAB_TEST_DIR/settings.tab
PAIRS=$LAB_TEST_DIR/pairs.awk
SECONDS_IN_ALL=540
SECONDS_A_ROW=40
BASE_PORT=15000

# Options of vmp that are not in the table, or have gone
check_names()
{
    on a 30 vmprun ucx_info -cf >"$OUT/config" 2>&1 ||
        fail "ucx_info -cf fails"
    if ! diff <(sed -n 's/^UCX_VMP_\([A-Z_]*\)=.*/\1/p' "$OUT/config" |
                LC_ALL=C sort -u) \
              <(awk '{ print $2 }' "$OUT/table" | sed -n 's/^UCX_VMP_//p' |
                LC_ALL=C sort -u) >"$OUT/diff"; then
        problem "settings.tab and ucx_info -cf differ in options"
        show "$OUT/diff"
    fi
}

# The table's options of UCX in $OUT/table, with their full names: "number of
# values" NAME VALUE... Those of vmp_integrity, whose values are options, are
# left out.
make_table()
{
    awk '$1 == "each" || $1 == "same" {
        n = 0
        line = ""
        for (i = 3; i <= NF; ++i)
            if ($i ~ /^-./)
                next
            else if ($i != "|") {
                ++n
                line = line " " $i
            }
        print n, ($2 ~ /^UCX_/ ? "" : "UCX_VMP_") $2 line
    }' "$TABLE" >"$OUT/table"
}

# Values that are the default, or two that are the same, try nothing. UCX says
# itself what it makes of them: the first value of all options, the second, ...
check_values()
{
    local rounds=() round number

    number=$(awk '$1 > n { n = $1 } END { print n + 0 }' "$OUT/table")
    for ((round = 1; round <= number; round++)); do
        rounds+=("$(awk -v i=$((round + 2)) \
            'i <= NF && $i != "-" { printf "%s=%s ", $2, $i }' "$OUT/table")")
    done
    # shellcheck disable=SC2016 # for the shell over there
    on a 120 bash -c 'for settings; do
            echo "round $((++round))"
            env $settings vmprun ucx_info -cf
        done' - "${rounds[@]}" >"$OUT/rounds" 2>&1 || fail "ucx_info -cf fails"
    awk '
        FILENAME == ARGV[1] {
            for (i = 3; i <= NF; ++i) {
                value[$2, i - 2] = $i
                if ($i == "-")
                    has_default[$2] = 1
                else
                    missing[$2 "=" $i] = 1
            }
            next
        }
        /^round / { round = $2 }
        !/^UCX_[A-Z_]*=/ { next }
        { name = substr($0, 1, index($0, "=") - 1) }
        FILENAME == ARGV[2] {
            if (name in has_default)
                seen[$0] = "the default"
            next
        }
        {
            is = value[name, round]
            if (!((name "=" is) in missing))
                next
            delete missing[name "=" is]
            if ($0 in seen)
                print name "=" is " is the same as " seen[$0]
            seen[$0] = is
        }
        END {
            for (setting in missing)
                print setting " is not what UCX takes"
        }' "$OUT/table" "$OUT/config" "$OUT/rounds" | LC_ALL=C sort >"$OUT/same"
    if [ -s "$OUT/same" ]; then
        problem "settings.tab has values that try nothing"
        sed 's/^/    | /' "$OUT/same"
    fi
}

# Sets number
make_rows()
{
    awk -f "$PAIRS" "$TABLE" >"$OUT/rows" || fail "no rows"
    awk -v check="$OUT/rows" -f "$PAIRS" "$TABLE" ||
        fail "pairs.awk leaves out pairs"
    number=$(wc -l <"$OUT/rows")
}

# settings_of HOST: a line a row, "NAME=VALUE ..." and options of vmp_integrity
settings_of()
{
    awk -v host="$1" '{
        line = "ROW=" NR
        for (i = 1; i <= NF; ++i) {
            dot = index($i, ".")
            if (!index(substr($i, 1, dot - 1), host) || $i ~ /=-$/)
                continue
            word = substr($i, dot + 1)
            if (word ~ /=-/)
                sub(/^[^=]*=/, "", word)
            else if (word !~ /^UCX_/)
                word = "UCX_VMP_" word
            line = line " " word
        }
        print line
    }' "$OUT/rows"
}

# In the host: rows from standard input, one after the other. The peer waits for
# us at each row's port, or we for it. UCX 1.13 says nothing of its lanes with the
# new protocols but for UCX_PROTO_INFO.
# shellcheck disable=SC2016 # for the shell over there
ROWS_LOOP='
    peer=$1 port=$2 seed=$3 limit=$4 seconds=$5 program=$6
    shift 6
    while read -r row settings; do
        [ $SECONDS -lt "$limit" ] || break
        n=${row#ROW=} names= options= ret=0
        for word in $settings; do
            case $word in
                -*) options="$options $word" ;;
                *) names="$names $word" ;;
            esac
        done
        env "$@" $names "$program" -p $((port + n)) -t "$seconds" \
            -s $((seed + n)) -n 6 -e 2 -m 400000 $options $peer \
            >/tmp/row 2>&1 </dev/null || ret=$?
        sed "s/^/row $n: /" /tmp/row | grep -av "env variables:"
        echo "row $n: ends $ret after $SECONDS s"
    done'

# run_rows HOST PEER
run_rows()
{
    local seconds=$((SECONDS_IN_ALL + SECONDS_A_ROW))

    "$VMPLAB" exec "$1" --timeout "$seconds" -- bash -c "$ROWS_LOOP" - \
        "$2" $BASE_PORT "$seed" $SECONDS_IN_ALL $SECONDS_A_ROW \
        "$LIBEXEC/vmp_integrity" "${TEST_ENV[@]}" "${launch_env[@]}" \
        UCX_PROTO_INFO=y \
        <"$OUT/rows.$1" >"$OUT/log.$1" 2>&1
}

# Sets payload_out and payload_in
check_row()
{
    local host out in

    for host in a b; do
        sed -n "s/^row $1: //p" "$OUT/log.$host" >"$OUT/row.$host"
        if ! grep -aq '^ends' "$OUT/row.$host"; then
            problem "row $1: did not run on host $host"
            return 0
        fi
    done
    if ! grep -aq '^ends 0 ' "$OUT/row.a" ||
       ! grep -aq '^ends 0 ' "$OUT/row.b" ||
       ! grep -aq 'vmp_integrity: PASS' "$OUT/row.a" ||
       ! grep -aq 'vmp_integrity: PASS' "$OUT/row.b"; then
        problem "row $1 (seed $((seed + $1))):" \
                "$(sed -nE "$1{s/[a-z]+\.[A-Z_]+=-( |\$)//g;p}" "$OUT/rows")"
        for host in a b; do
            grep -aE 'ERROR|WARN|FAIL|Assertion|signal|^ends' "$OUT/row.$host" |
                sed "s/^/    | $host: /" | head -n 6
        done
        return 0
    fi
    assert_lanes "row $1" "$OUT/row.a" "$OUT/row.b"
    read -r out in < <(sed -n \
        's/.*vmp_integrity: payload out \([0-9]*\) in \([0-9]*\).*/\1 \2/p' \
        "$OUT/row.a")
    payload_out=$((payload_out + out)) payload_in=$((payload_in + in))
    good=$((good + 1))
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp's settings"
make_table
check_names
check_values
make_rows
seed=${VMP_TEST_SEED:-$(date +%s)}
say "$number rows, seed $seed"
# vmprun's variables once, not a shell a row
mapfile -t launch_env < <(on a 20 vmprun --print-env |
                          sed -n "s/^export //; s/['\"]//g; /^LD_PRELOAD=/p")
[ ${#launch_env[@]} = 1 ] || fail "vmprun --print-env says no LD_PRELOAD"
for host in a b; do
    settings_of $host >"$OUT/rows.$host"
    if [ -n "${VMP_TEST_ROWS:-}" ]; then
        grep -E "^ROW=(${VMP_TEST_ROWS// /|})( |\$)" "$OUT/rows.$host" \
             >"$OUT/some"
        mv "$OUT/some" "$OUT/rows.$host"
    fi
done
counters_reset
run_rows b "" &
pids=($!)
run_rows a b &
pids+=($!)
# If one of the hosts is gone each row of the other one would wait for it
for i in 1 2; do
    wait -n "${pids[@]}" || {
        problem "a host's loop does not end well"
        kill -TERM "${pids[@]}" 2>/dev/null || true
    }
done
payload_out=0 payload_in=0 good=0
mapfile -t rows < <(sed -n 's/^ROW=\([0-9]*\).*/\1/p' "$OUT/rows.a")
for row in "${rows[@]}"; do
    check_row "$row"
done
# Each row starts two programs anew: 26 KB
MGMT_LIMIT=$((MGMT_LIMIT + (${#rows[@]} << 15)))
assert_traffic "all rows" $payload_out $payload_in
say "$good rows of $number good, payload $payload_out and $payload_in bytes"
lab_end
