#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# The fabric: two leaf routers, joined by the links, and a management router,
# each a network namespace of this machine. Nothing reaches its own network.
#
#   host a, c... -- data1 [leafA] l1..lN === l1..lN [leafB] data2 -- host b...
#   all hosts    -- mgmt1..N [mgmt]

LAB_LEAF_A=vmplab-leafA
LAB_LEAF_B=vmplab-leafB
LAB_MGMT=vmplab-mgmt
LAB_NETNS_DIR=/run/netns

lab_leaf_of()
{
    [ $(($1 % 2)) = 1 ] && echo "$LAB_LEAF_A" || echo "$LAB_LEAF_B"
}

lab_netns_path()
{
    echo "$LAB_NETNS_DIR/$1"
}

lab_netns_sysctl()
{
    local ns=$1 setting
    shift

    for setting in "$@"; do
        nsenter --net="$(lab_netns_path "$ns")" \
            sysctl -qw "$setting" ||
            lab_die "this kernel refuses $setting"
    done
}

# ECMP by addresses and ports, in both families: a RoCE flow's UDP source port
# then decides its link
lab_netns_leaf()
{
    local ns=$1

    lab_netns_sysctl "$ns" net.ipv4.ip_forward=1 \
        net.ipv4.fib_multipath_hash_policy=1 \
        net.ipv6.conf.all.forwarding=1 net.ipv6.fib_multipath_hash_policy=1
    [ -z "${VMPLAB_HASH_SEED:-}" ] ||
        lab_netns_sysctl "$ns" \
            "net.ipv4.fib_multipath_hash_seed=$VMPLAB_HASH_SEED"
}

lab_netns_add()
{
    local ns

    # ip makes this directory a mount point, and leaves it so: then we undo it
    mountpoint -q "$LAB_NETNS_DIR" || touch "$LAB_RUN/netns-mount"
    for ns in "$LAB_LEAF_A" "$LAB_LEAF_B" "$LAB_MGMT"; do
        ip netns add "$ns" ||
            lab_die "cannot make network namespaces: needs CAP_SYS_ADMIN and" \
                    "a kernel with CONFIG_NET_NS"
        ip -n "$ns" link set lo up
        lab_netns_sysctl "$ns" net.ipv4.conf.all.rp_filter=0 \
            net.ipv4.conf.default.rp_filter=0
    done
    lab_netns_leaf "$LAB_LEAF_A"
    lab_netns_leaf "$LAB_LEAF_B"
    lab_netns_sysctl "$LAB_MGMT" net.ipv4.ip_forward=1 \
        net.ipv6.conf.default.disable_ipv6=1
}

lab_net_link_add()
{
    local n=$1 end ns

    ip -n "$LAB_LEAF_A" link add "l$n" mtu 9000 type veth \
       peer name "l$n" mtu 9000 netns "$LAB_LEAF_B" ||
        lab_die "cannot make a veth pair: needs a kernel with CONFIG_VETH"
    for end in 1 2; do
        ns=$(lab_leaf_of $end)
        ip -n "$ns" -batch - <<END
addr add 10.9.$n.$end/30 dev l$n
addr add fd00:9:$n::$end/64 dev l$n nodad
link set l$n up
END
    done
}

lab_net_tap_add()
{
    local ns=$1 tap=$2 address=$3

    ip -n "$ns" tuntap add dev "$tap" mode tap vnet_hdr ||
        lab_die "cannot make a tap: needs /dev/net/tun and CAP_NET_ADMIN"
    ip -n "$ns" addr add "$address" dev "$tap"
    # A short queue drops what a guest is too slow to take: RC then retries
    ip -n "$ns" link set "$tap" mtu 9000 txqueuelen 4000 up
}

# Each leaf reaches the other's hosts over all links alike
lab_net_routes()
{
    local host=$1 links=$2 other end=1 n hops4=() hops6=()

    other=$(lab_leaf_of $((host + 1)))
    [ "$other" = "$LAB_LEAF_A" ] && end=2
    for ((n = 1; n <= links; n++)); do
        hops4+=(nexthop via "10.9.$n.$end" dev "l$n")
        hops6+=(nexthop via "fd00:9:$n::$end" dev "l$n")
    done
    ip -n "$other" route add "10.1.$host.0/24" "${hops4[@]}"
    ip -n "$other" -6 route add "fd00:1:$host::/64" "${hops6[@]}"
}

lab_net_up()
{
    local hosts=$1 links=$2 i

    lab_netns_add
    for ((i = 1; i <= links; i++)); do
        lab_net_link_add $i
    done
    for ((i = 1; i <= hosts; i++)); do
        lab_net_tap_add "$(lab_leaf_of $i)" data$i 10.1.$i.1/24
        ip -n "$(lab_leaf_of $i)" -6 addr add fd00:1:$i::1/64 dev data$i nodad
        lab_net_tap_add "$LAB_MGMT" mgmt$i 10.77.$i.1/24
        lab_net_routes $i "$links"
    done
}

# An exec that still runs would keep its namespace alive. Its host has gone:
# SIGUSR1 tells it so.
lab_netns_empty()
{
    local ns=$1 pid file end=$((SECONDS + 2))

    for pid in $(ip netns pids "$ns" 2>/dev/null); do
        if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != vmplab-agent ]; then
            lab_warn "process $pid still uses the namespace $ns"
            continue
        fi
        file=$LAB_RUN/exec.$pid
        lab_process_save "$pid" "$file"
        kill -USR1 "$pid" 2>/dev/null || true
        while lab_process_alive "$file" >/dev/null; do
            [ $SECONDS -lt $end ] || kill -KILL "$pid" 2>/dev/null || true
            sleep 0.05
        done
    done
}

lab_net_down()
{
    local ns

    for ns in "$LAB_LEAF_A" "$LAB_LEAF_B" "$LAB_MGMT"; do
        [ -e "$(lab_netns_path "$ns")" ] || continue
        lab_netns_empty "$ns"
        ip netns del "$ns" || true
    done
    if [ -e "$LAB_RUN/netns-mount" ] &&
       [ -z "$(ls -A "$LAB_NETNS_DIR" 2>/dev/null)" ]; then
        umount "$LAB_NETNS_DIR" 2>/dev/null || true
        rmdir "$LAB_NETNS_DIR" 2>/dev/null || true
    fi
}

# A link's state is its file: RATE up|cut|cut-ab|cut-ba
lab_link_state()
{
    cat "$LAB_RUN/link.$1"
}

# Deep queues: a tail drop costs go-back-N half its goodput. A small burst:
# with 64 KiB a ping-pong runs at twice the rate.
lab_link_apply()
{
    local n=$1 rate=$2 state=$3 ns qdisc

    for ns in "$LAB_LEAF_A" "$LAB_LEAF_B"; do
        # Packets vanish, carrier and routes stay: nothing tells the hosts
        case $state:$ns in
            cut:* | "cut-ab:$LAB_LEAF_A" | "cut-ba:$LAB_LEAF_B") qdisc=blackhole ;;
            *) qdisc="tbf rate ${rate}mbit burst 16k limit 4m" ;;
        esac
        # shellcheck disable=SC2086 # words of a command
        tc -n "$ns" qdisc replace dev "l$n" root $qdisc ||
            lab_die "tc refuses '$qdisc': needs a kernel with" \
                    "CONFIG_NET_SCH_${qdisc%% *}"
    done
    echo "$rate $state" >"$LAB_RUN/link.$n"
}
