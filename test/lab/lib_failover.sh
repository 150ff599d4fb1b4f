#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Links that are cut and healed under verified transfers. Source it after lib.sh
# and lib_integrity.sh.

# Cuts and heals links while the file $OUT/cutting is there
# shellcheck disable=SC2154 # links is from lab_start
cutter()
{
    local i=0

    while [ -e "$OUT/cutting" ] && [ "$i" -lt 40 ]; do
        sleep 1.5
        "$VMPLAB" link $((i % links + 1)) cut
        sleep 3
        "$VMPLAB" link $((i % links + 1)) heal
        i=$((i + 1))
    done
    echo "$i" >"$OUT/cuts"
}

# shellcheck disable=SC2317 # at exit
heal_all()
{
    local i

    rm -f "$OUT/cutting"
    for ((i = 1; i <= links; i++)); do
        "$VMPLAB" link "$i" heal || true
    done
}

# under_cuts WHAT OPTIONS SETTINGS
under_cuts()
{
    local pid

    touch "$OUT/cutting"
    cutter >"$OUT/cutter" 2>&1 &
    pid=$!
    integrity "$@"
    rm -f "$OUT/cutting"
    wait $pid || problem "$1: the cutter fails: $(tail -n 1 "$OUT/cutter")"
    say "$1: $(cat "$OUT/cuts") links cut," \
        "$(cat "$OUT/client" "$OUT/server" |
           grep -acE 'path .* failed') times a path failed"
    cat "$OUT/client" "$OUT/server" | grep -aqE 'path .* failed' ||
        problem "$1: no path failed: nothing is shown"
}

# All links but the last one of $links go, one after the other, and come back in
# another order; again and again while $OUT/cutting is there
cutter_many()
{
    local i num=0 round

    for ((round = 0; round < 20; round++)); do
        for ((i = 1; i < links; i++)); do
            cutter_step "$i" cut || break 2
            num=$((num + 1))
        done
        for ((i = 2; i < links; i++)); do
            cutter_step "$i" heal || break 2
        done
        cutter_step 1 heal || break
    done
    echo "$num" >"$OUT/cuts"
}

# cutter_step LINK cut|heal: after 2 s. Return 1: it was time to end.
cutter_step()
{
    sleep 2
    [ -e "$OUT/cutting" ] || return 1
    "$VMPLAB" link "$1" "$2"
}

# cutter_random SECONDS SEED: links at random, never all of them
cutter_random()
{
    local end=$((SECONDS + $1)) cut=() num=0 link i

    RANDOM=$2
    while [ -e "$OUT/cutting" ] && [ "$SECONDS" -lt "$end" ]; do
        link=$((RANDOM % links + 1))
        if [ -n "${cut[$link]:-}" ]; then
            "$VMPLAB" link $link heal
            unset "cut[$link]"
        elif [ ${#cut[@]} -lt $((links - 1)) ]; then
            "$VMPLAB" link $link cut
            cut[link]=1
            num=$((num + 1))
        fi
        sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    done
    for i in "${!cut[@]}"; do
        "$VMPLAB" link "$i" heal
    done
    echo "$num" >"$OUT/cuts"
}

# cutting CUTTER [ARGUMENT...]: in the background, until cutting_end
cutting()
{
    touch "$OUT/cutting"
    echo 0 >"$OUT/cuts"
    "$@" >"$OUT/cutter" 2>&1 &
    cutter_pid=$!
}

# cutting_end WHAT: all links are healed afterwards
cutting_end()
{
    rm -f "$OUT/cutting"
    wait "$cutter_pid" ||
        problem "$1: the cutter fails: $(tail -n 1 "$OUT/cutter")"
    heal_all
    [ "$(cat "$OUT/cuts")" -gt 0 ] || problem "$1: no link was cut"
    say "$1: $(cat "$OUT/cuts") links cut"
}

# Settings for a trial: VMP_TEST_FAILOVER="UCX_VMP_NUM_PATHS=16 ..."
# shellcheck disable=SC2034 # the tests use it
quick=${VMP_TEST_FAILOVER:-}

failover_start()
{
    lab_start
    [ "$TLS" = vmp ] || skip "is about vmp itself"
    [ "$links" -ge 2 ] || skip "the lab has $links links"
    # shellcheck disable=SC2206 # words
    TEST_ENV+=($quick)
    at_exit heal_all
}
