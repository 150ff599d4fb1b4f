#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# UCX's example programs, as Debian packages them: ucp_hello_world,
# ucp_client_server, uct_hello_world. They print what they received, that has to
# be what was sent. What is left out of them, and why, is in docs/lab.md.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"
# shellcheck source-path=SCRIPTDIR source=lib_io_demo.sh
. "$LAB_TEST_DIR/lib_io_demo.sh"

port=13700
settings=()

build()
{
    local host pids=() pid

    # The hosts' trees are without documentation, where Debian has these: the
    # package again, with it
    layer_mount --reinstall,libucx-dev
    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        on $host 120 sh -euc 'cd /usr/share/doc/libucx-dev/examples
            for name in ucp_hello_world ucp_client_server uct_hello_world; do
                gcc -o "/tmp/$name" "$name.c" -lucp -luct -lucs
            done' >"$OUT/build.$host" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || {
            show "$OUT/build.a" "$OUT/build.b"
            fail "the examples do not compile"
        }
    done
}

# duo SERVER_CMD -- CLIENT_CMD: as pair, but whatever becomes of the two; the
# programs' own way to name port and server. Sets ret_server and ret_client.
# Output in $OUT/server and $OUT/client, with UCX's log; errors in *.err.
duo()
{
    local server=() pid

    while [ "$1" != -- ]; do
        server+=("$1")
        shift
    done
    shift
    port=$((port + 1)) ret_server=0 ret_client=0
    counters_reset
    on b 90 env "${TEST_ENV[@]}" "${settings[@]}" "${LAUNCH[@]}" \
        "${server[@]}" -p $port >"$OUT/server" 2>"$OUT/server.err" &
    pid=$!
    if listens b $port; then
        on a 90 env "${TEST_ENV[@]}" "${settings[@]}" "${LAUNCH[@]}" \
            "$@" -p $port -n b >"$OUT/client" 2>"$OUT/client.err" ||
            ret_client=$?
    else
        echo "the server does not listen on port $port" >"$OUT/client.err"
        : >"$OUT/client"
        ret_client=1
        kill -TERM $pid 2>/dev/null || true
    fi
    wait $pid || ret_server=$?
    resources_check "port $port"
}

show_all()
{
    show "$OUT/server" "$OUT/server.err" "$OUT/client" "$OUT/client.err"
}

# said FILE COUNT TEXT: so many whole lines there
said()
{
    printf '%s\n' "$3" >"$OUT/text"
    [ "$(grep -acxF -f "$OUT/text" "$OUT/$1")" = "$2" ]
}

# text SIZE: what the examples send in so many bytes, the last of which is 0
text()
{
    awk -v size="$1" 'BEGIN {
        for (i = 0; i < size - 1; i++)
            printf "%c", 65 + i % 26
    }'
}

# both_end WHAT
both_end()
{
    [ "$ret_server $ret_client" != "0 0" ] || return 0
    problem "$1: server and client end with $ret_server and $ret_client"
    show_all
    return 1
}

# hello SIZE OPTION...
hello()
{
    local size=$1 what="ucp_hello_world -s $*"

    shift
    what="$what ${settings[*]}"
    duo /tmp/ucp_hello_world -s "$size" "$@" -- \
        /tmp/ucp_hello_world -s "$size" "$@"
    both_end "$what" || return 0
    if ! said client 1 '----- UCP TEST SUCCESS ----' ||
       ! said client 1 "$(text "$size")"; then
        problem "$what: the client did not get what the server sends"
        show_all
    fi
    # The client's address there, the text back
    assert_packets "$what" 1 1
    assert_traffic "$what" 0 "$size"
    assert_lanes "$what" "$OUT/client" "$OUT/server"
    say "$what: links $SUM_AB and $SUM_BA bytes"
}

# fails WHOM MOMENT: one of the two is killed, by itself, before it sends or
# receives, or behind all. The other one hears of it and ends.
fails()
{
    local whom=$1 other=server ret_whom=ret_$1 ret_other what

    [ "$whom" != server ] || other=client
    ret_other=ret_$other
    what="ucp_hello_world -e $2"
    duo /tmp/ucp_hello_world -e "$2" -- /tmp/ucp_hello_world -e "$2"
    if [ "${!ret_whom}" != 137 ]; then
        problem "$what: the $whom ends with ${!ret_whom}, not by its signal"
        show_all
        return 0
    fi
    # -1 is 255. Either its handler is called, or a request fails first.
    case ${!ret_other} in
        0 | 255) ;;
        *)
            problem "$what: the $other ends with ${!ret_other}"
            show_all
            return 0
            ;;
    esac
    grep -aqE 'failure handler called with status -|with status -[0-9]+ \(' \
         "$OUT/$other" || {
        problem "$what: the $other does not hear of it"
        show_all
    }
    assert_lanes "$what" "$OUT/$other"
    say "$what: $(grep -aohE '(failure handler|flush_ep).*status -.*' \
                  "$OUT/$other" | head -n 1)"
}

# client_server API SIZE ITERATIONS BUFFERS ADDRESS [OPTION...]: a server, which
# goes on until it is stopped, and two clients, one after the other
client_server()
{
    local api=$1 size=$2 iterations=$3 buffers=$4 address=$5 prints=1 i pid
    local what="ucp_client_server -c $1 -s $2 -i $3 -v $4" options payload
    local ret=0

    shift 5
    what="$what $* ${settings[*]}"
    port=$((port + 1))
    options=(-p "$port" -c "$api" -s "$size" -i "$iterations" -v "$buffers"
             "$@")
    counters_reset
    # What it has printed by lines is there when it is stopped. UCX's thread for
    # its file system may write first, and then stdbuf has no effect at times.
    # shellcheck disable=SC2016 # for the shell over there
    on b 120 bash -c 'echo $$ >/tmp/examples.pid; exec "$@"' - \
        env "${TEST_ENV[@]}" UCX_VFS_ENABLE=n "${settings[@]}" "${LAUNCH[@]}" \
        stdbuf -oL /tmp/ucp_client_server "${options[@]}" \
        >"$OUT/server" 2>"$OUT/server.err" &
    pid=$!
    for i in 1 2; do
        if ! waiting $i; then
            problem "$what: the server does not wait for client $i"
            ret=1
            break
        fi
        on a 60 env "${TEST_ENV[@]}" "${settings[@]}" "${LAUNCH[@]}" \
            /tmp/ucp_client_server "${options[@]}" -a "$address" \
            >"$OUT/client" 2>"$OUT/client.err" || ret=$?
        [ $ret = 0 ] || {
            problem "$what: client $i ends with $ret"
            break
        }
        assert_lanes "$what" "$OUT/client"
    done
    if [ $ret = 0 ] && ! waiting 3; then
        problem "$what: the server does not go on"
        ret=1
    fi
    # shellcheck disable=SC2016 # for the shell over there
    on b 20 bash -c 'kill -TERM "$(cat /tmp/examples.pid)"' 2>/dev/null || {
        problem "$what: the server has ended"
        ret=1
    }
    wait $pid || true
    resources_check "port $port"
    [ $ret = 0 ] || {
        show_all
        return 0
    }
    # It prints the first and the last one
    [ "$iterations" = 1 ] || prints=2
    if ! said server $((2 * prints)) '----- UCP TEST SUCCESS -------' ||
       ! said server $((2 * prints * buffers)) "$(text "$size")."; then
        problem "$what: the server did not get what the clients send"
        show_all
    fi
    assert_lanes "$what" "$OUT/server"
    payload=$((2 * size * iterations * buffers))
    assert_traffic "$what" $payload 0
    [ "$size" -gt 1024 ] || assert_packets "$what" $((2 * iterations)) 0
    say "$what: links $SUM_AB and $SUM_BA bytes"
}

# waiting NUMBER: the server waits for a client, the so-manieth time
waiting()
{
    local i

    for ((i = 0; i < 100; i++)); do
        [ "$(grep -ac 'Waiting for connection' "$OUT/server")" -lt "$1" ] ||
            return 0
        sleep 0.2
    done
    return 1
}

# uct FUNCTION OPTION SIZE: the client sends one active message
uct()
{
    local function=uct_ep_am_$1 size=$3 tl=${TLS%%,*} device=rxe0:1
    local what="uct_hello_world $2 -s $3" command sent

    [ "$tl" != tcp ] || device=eth0
    # It ends if one component of UCX cannot open a device, as 1.18's for mlx5
    # cannot open others; ucx_info and UCP go on
    [ "$tl" != vmp ] || settings=("UCX_MODULES=^rocm,mad,mlx5")
    command=(/tmp/uct_hello_world -t "$tl" -d "$device" "$2" -s "$size")
    duo "${command[@]}" -- "${command[@]}"
    both_end "$what" || return 0
    if ! said server 1 "Using $tl/$device" ||
       ! said client 1 "Using $tl/$device"; then
        problem "$what: not over $tl/$device"
    fi
    # By the handler and, from what that kept of it, by main
    sent="$function sent $(text "$size") ($size bytes)"
    if ! said server 2 '----- UCT TEST SUCCESS ----' ||
       ! said server 1 "[callback] $sent" ||
       ! said server 1 "[main] $sent"; then
        problem "$what: the server did not get what the client sends"
        show_all
    fi
    assert_packets "$what" 1 0
    assert_traffic "$what" "$size" 0
    say "$what: links $SUM_AB and $SUM_BA bytes"
}

test_hello()
{
    local mode

    # Polls, calls ucp_worker_wait, epoll_wait on the worker's event fd
    for mode in -b -w -f; do
        hello 16 $mode
        hello 100000 $mode
    done
    settings=("${ZCOPY_ENV[@]}")
    hello 200000 -b
    hello 200000 -f
    settings=(UCX_KEEPALIVE_INTERVAL=1s)
    [ "$TLS" != vmp ] || settings+=(UCX_VMP_TIMEOUT=200ms
                                    UCX_VMP_PEER_TIMEOUT=3s)
    fails server send
    fails client recv
    fails client keepalive
    settings=()
}

test_client_server()
{
    local address

    address=$(address_of b)
    client_server stream 16 1 1 "$address"
    client_server stream 1000 50 1 "$address"
    client_server stream 10000 20 3 "$address"
    client_server tag 16 1 1 "$address"
    client_server tag 5000 20 4 "$address"
    settings=("${ZCOPY_ENV[@]}")
    client_server tag 60000 20 1 "$address"
    settings=()
    client_server am 16 1 1 "$address"
    client_server am 1000 1 4 "$address"
    [ "$TLS" != tcp ] || return 0 # UCX's has no IPv6 there
    # The listener's address is of IPv6, vmp's rails are of IPv4 ...
    client_server tag 16 1 1 fd00:1:2::2 -6
    [ "$TLS" = vmp ] || return 0
    # ... or of IPv6, too
    settings=(UCX_VMP_GID_INDEX=2)
    client_server tag 16 1 1 fd00:1:2::2 -6
    settings=()
}

test_uct()
{
    uct short -i 16
    uct short -i 64
    uct bcopy -b 16
    uct bcopy -b 4000
    uct zcopy -z 16
    uct zcopy -z 4000
}

lab_start
build
test_hello
test_client_server
test_uct
lab_end
