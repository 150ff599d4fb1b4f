#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Links that are cut and healed under verified transfers. Source it after lib.sh
# and after what runs the transfers.
#
# A cutter works in the background, from cutting to cutting_end: as long as the
# file $OUT/cutting is there. It keeps in $OUT/cuts how many links it has cut, and
# how many rounds of its own that were.

# A path that was up has died, as this side found out. Not when it only did not
# come up ("its first request is not answered").
PATH_FAILED='path [0-9]+ \(rail .*(failed: |is given up: (it|all paths) )'
PATH_BACK='path [0-9]+ epoch [0-9]+ is up again after '

# Bytes on the links, both ways, after which the first one is cut: programs have
# started, and connections are made. Less than the shortest of transfers here.
cut_after=100000
cuts=0 rounds=0

# cutter_link LINK cut|heal [ab|ba]
cutter_link()
{
    # Not by set -e, which callers may have switched off
    "$VMPLAB" link "${@}" || exit 1
    [ "$2" = heal ] || cuts=$((cuts + 1))
    echo "$cuts $rounds" >"$OUT/cuts"
}

# cutter_step SECONDS LINK cut|heal [ab|ba]: after that time. Return 1: it is over.
cutter_step()
{
    sleep "$1"
    [ -e "$OUT/cutting" ] && [ "$SECONDS" -lt "$cutter_end" ] || return 1
    cutter_link "${@:2}"
}

cutter_round()
{
    rounds=$((rounds + 1))
    echo "$cuts $rounds" >"$OUT/cuts"
}

# Each link in its turn
# shellcheck disable=SC2154 # links is from lab_start
cutter_one()
{
    local i

    while :; do
        for ((i = 1; i <= links; i++)); do
            cutter_step 1.5 "$i" cut || return 0
            cutter_step 3 "$i" heal || return 0
        done
        cutter_round
    done
}

# Each link in its turn, one direction and then the other: requests are lost, or
# answers alone
cutter_oneway()
{
    local i way

    while :; do
        for ((i = 1; i <= links; i++)); do
            for way in ab ba; do
                cutter_step 1.5 "$i" cut $way || return 0
                cutter_step 3 "$i" heal || return 0
            done
        done
        cutter_round
    done
}

# Sets ORDER: all links but one, of which the first is the one that carries most
cutter_order()
{
    local was=() i carried most=-1 first=0

    counters_read
    for i in "${!LINK_AB[@]}"; do
        was+=($((LINK_AB[i] + LINK_BA[i])))
    done
    sleep 0.5
    counters_read
    for i in "${!LINK_AB[@]}"; do
        carried=$((LINK_AB[i] + LINK_BA[i] - was[i]))
        if [ $carried -gt $most ]; then
            most=$carried
            first=$i
        fi
    done
    ORDER=()
    for ((i = 0; i < links - 1; i++)); do
        ORDER+=($(((first + i) % links + 1)))
    done
}

# One link goes, a second one, all but the last; they come back in another order
cutter_many()
{
    local link

    while :; do
        cutter_order
        for link in "${ORDER[@]}"; do
            cutter_step 2 "$link" cut || return 0
        done
        for link in "${ORDER[@]:1}"; do
            cutter_step 2 "$link" heal || return 0
        done
        cutter_step 2 "${ORDER[0]}" heal || return 0
        cutter_round
    done
}

# All links at once, for twice as long as the device tries again (4.3 s): a path that
# had nothing to lose is asked when the first one dies. Less than
# UCX_VMP_PEER_TIMEOUT.
cutter_all()
{
    local i

    while :; do
        sleep 3
        for ((i = 1; i <= links; i++)); do
            cutter_step 0 "$i" cut || return 0
        done
        sleep 9
        for ((i = 1; i <= links; i++)); do
            cutter_step 0 "$i" heal || return 0
        done
        sleep 3
        cutter_round
    done
}

# cutter_random SECONDS SEED: links at random, never all of them
cutter_random()
{
    local end=$((SECONDS + $1)) cut=() link i

    RANDOM=$2
    while [ -e "$OUT/cutting" ] && [ "$SECONDS" -lt "$end" ]; do
        link=$((RANDOM % links + 1))
        if [ -n "${cut[$link]:-}" ]; then
            cutter_link $link heal
            unset "cut[$link]"
        elif [ ${#cut[@]} -lt $((links - 1)) ]; then
            cutter_link $link cut
            cut[link]=1
        fi
        sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    done
    for i in "${!cut[@]}"; do
        cutter_link "$i" heal
    done
}

# cutter_begin CUTTER [ARGUMENT...]: when traffic has begun
cutter_begin()
{
    local i

    for ((i = 0; i < 400; i++)); do
        [ -e "$OUT/cutting" ] || return 0
        counters_read
        [ $((SUM_AB + SUM_BA)) -lt "$cut_after" ] || break
        sleep 0.2
    done
    cuts=0 rounds=0
    # In case that nobody lives to end it
    cutter_end=$((SECONDS + 1200))
    "$@"
}

# cutting CUTTER [ARGUMENT...]: in the background, until cutting_end
cutting()
{
    touch "$OUT/cutting"
    echo "0 0" >"$OUT/cuts"
    counters_reset
    cutter_begin "$@" >"$OUT/cutter" 2>&1 &
    cutter_pid=$!
}

# cutting_end WHAT: all links are healed afterwards. Sets cuts and rounds.
cutting_end()
{
    rm -f "$OUT/cutting"
    wait "$cutter_pid" ||
        problem "$1: the cutter fails: $(tail -n 1 "$OUT/cutter")"
    heal_all
    read -r cuts rounds <"$OUT/cuts"
}

# cuts_shown WHAT ROUNDS: that many rounds of cuts were while it ran, and by what
# the programs said (cut_logs) paths failed and came back
cuts_shown()
{
    local failed back

    failed=$(cat "${cut_logs[@]}" | grep -acE "$PATH_FAILED" || true)
    back=$(cat "${cut_logs[@]}" | grep -acE "$PATH_BACK" || true)
    say "$1: $cuts links cut, $failed times a path failed, $back times one" \
        "came back"
    [ "$rounds" -ge "$2" ] ||
        problem "$1: $cuts links were cut, which is no whole round"
    [ "$failed" -gt 0 ] || problem "$1: no path failed: nothing is shown"
    [ "$back" -gt 0 ] || problem "$1: no path came back"
}

# under_round WHAT CUTTER NUMBER COMMAND...: COMMAND with NUMBER as its last
# argument, under cuts. Machines differ: if it is over before a whole round of them
# was, it was too short, and runs again with three times as many.
under_round()
{
    # shellcheck disable=SC2154 # lib.sh has failures
    local what=$1 cutter=$2 number=$3 problems=$failures try

    shift 3
    for ((try = 0; try < 6; try++)); do
        cutting "$cutter"
        "$@" "$number"
        cutting_end "$what"
        [ "$rounds" = 0 ] || break
        [ "$failures" = "$problems" ] || break
        say "$what: $number are over before all cuts are"
        number=$((number * 3))
    done
    cuts_shown "$what" 1
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

# integrity_number WHAT OPTIONS SETTINGS NUMBER
integrity_number()
{
    integrity "$1" "-n $4 $2" "$3"
}

# under_cuts WHAT NUMBER OPTIONS SETTINGS [CUTTER]: so many operations of
# vmp_integrity, or more, with cuts from the start on
under_cuts()
{
    local cut_after=0

    under_round "$1" "${5:-cutter_one}" "$2" integrity_number "$1" "$3" "$4"
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
    cut_logs=("$OUT/client" "$OUT/server")
    at_exit heal_all
}
