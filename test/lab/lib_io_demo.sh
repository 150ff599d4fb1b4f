#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# UCX's io_demo between the hosts: clients read from and write to servers, and
# check all contents (-q). Source it after lib.sh.
#
# Its connections are made by UCX's connection manager, which serves addresses
# of RDMA devices: 10.1.N.2, not those of the management network.

io_port=18000

# address_of HOST
address_of()
{
    case $1 in
        a) echo 10.1.1.2 ;;
        b) echo 10.1.2.2 ;;
    esac
}

# io_run HOST NAME SECONDS OPTION...: in the background; output in $OUT/NAME,
# process id there in /tmp/NAME.pid. Sets pid_NAME.
io_run()
{
    local host=$1 name=$2 seconds=$3

    shift 3
    # shellcheck disable=SC2016 # for the shell over there
    "$VMPLAB" exec "$host" --timeout "$seconds" -- \
        bash -c 'echo $$ >/tmp/$0.pid; exec "$@"' "$name" \
        env "${TEST_ENV[@]}" "${io_settings[@]}" "${LAUNCH[@]}" \
        io_demo "$@" >"$OUT/$name" 2>&1 </dev/null &
    printf -v "pid_$name" %s $!
}

# io_server HOST NAME SECONDS OPTION...: returns when it listens. Sets port_NAME.
# Needs the clients' largest size (-d), or ends by an assertion of its own.
io_server()
{
    local host=$1 name=$2 seconds=$3 i

    shift 3
    io_port=$((io_port + 1))
    printf -v "port_$name" %s $io_port
    io_run "$host" "$name" "$seconds" -q -p $io_port "$@"
    for ((i = 0; i < 100; i++)); do
        ! grep -aq 'started listener' "$OUT/$name" || return 0
        sleep 0.2
    done
    problem "the server $name on host $host does not start"
    show "$OUT/$name"
}

# io_signal HOST NAME SIGNAL
io_signal()
{
    # shellcheck disable=SC2016 # for the shell over there
    on "$1" 20 bash -c 'kill -"$2" "$(cat "/tmp/$1.pid")"' - "$2" "$3"
}

# io_stop HOST NAME: ends a server, as a user would
io_stop()
{
    local pid=pid_$2

    io_signal "$1" "$2" INT || problem "the server $2 is gone"
    wait "${!pid}" || true
}

# io_verdict WHAT NAME: waits for a client that has to end well
io_verdict()
{
    local pid=pid_$2 ret=0

    wait "${!pid}" || ret=$?
    if [ $ret != 0 ] || ! grep -aq "Client exit with status 'OK'" "$OUT/$2" ||
       grep -aqE 'corrupt|ERROR|Assertion' "$OUT/$2"; then
        problem "$1: the client $2 ends with $ret"
        show "$OUT/$2"
        return 0
    fi
    assert_lanes "$1" "$OUT/$2"
}

# io_check_server WHAT NAME
io_check_server()
{
    if grep -aqE 'corrupt|Assertion|caught signal' "$OUT/$2"; then
        problem "$1: the server $2 fails"
        show "$OUT/$2"
    fi
    assert_lanes "$1" "$OUT/$2"
}

io_settings=()
