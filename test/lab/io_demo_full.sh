#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# io_demo with several clients and servers, both of its ways to carry data, and
# clients that are killed: servers go on with the others.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_io_demo.sh
. "$LAB_TEST_DIR/lib_io_demo.sh"

# client NAME HOST OPTION...: to the servers in $servers, contents by seed
client()
{
    local name=$1 host=$2

    shift 2
    seed=$((seed + 1))
    io_run "$host" "$name" 150 -q -s $seed -o read,write "$@" \
           -p "${port_first:-0}" "${servers[@]}"
}

# Several clients on each host, two servers, random sizes
test_many()
{
    local what="$*" name

    io_server b first 200 -d 1:1000000 "$@"
    io_server a second 200 -d 1:1000000 "$@"
    counters_reset
    servers=("$(address_of b)")
    client one a -d 1:100000 -i 150 "$@"
    client two a -d 1:1000000 -i 40 -w 4 "$@"
    servers+=("$(address_of a):$port_second")
    client three a -d 1:65536 -i 150 -w 64 "$@"
    client four b -d 4096:300000 -i 80 "$@"
    for name in one two three four; do
        io_verdict "several clients $what" $name
    done
    assert_traffic "several clients $what" 10000000 10000000
    io_stop b first
    io_stop a second
    io_check_server "several clients $what" first
    io_check_server "several clients $what" second
    say "several clients $what: links $SUM_AB and $SUM_BA bytes"
}

# The victim dies in the middle of it
test_killed()
{
    local i

    io_server b first 250 -d 1:1000000
    servers=("$(address_of b)")
    client one a -d 1:100000 -i 2000 -l 60s
    client victim a -d 1:1000000 -i 0 -w 32
    for ((i = 0; i < 100; i++)); do
        ! grep -aq 'active: 2/2' "$OUT/first" || break
        sleep 0.2
    done
    sleep 3
    io_signal a victim KILL || problem "the victim is gone already"
    # UCX looks after idle endpoints every 20 s
    for ((i = 0; i < 300; i++)); do
        ! grep -aq 'disconnecting connection' "$OUT/first" || break
        sleep 0.2
    done
    grep -aq 'disconnecting connection\|detected error' "$OUT/first" ||
        problem "a client killed: the server does not say so within 60 s"
    say "a client killed: $(grep -a 'detected error' "$OUT/first" |
                            head -n 1 | sed 's/.*detected/detected/')"
    io_signal a one 0 2>/dev/null && say "the other client goes on"
    io_verdict "a client killed" one
    counters_reset
    client late a -d 1:100000 -i 100
    io_verdict "a client after one was killed" late
    assert_traffic "a client after one was killed" 1000000 1000000
    io_stop b first
    io_check_server "a client killed" first
}

lab_start
seed=${VMP_TEST_SEED:-$(date +%s)}
say "seed $seed"
test_many -k 10000 # of one mind about the size of pieces
test_many -A
test_killed
lab_end
