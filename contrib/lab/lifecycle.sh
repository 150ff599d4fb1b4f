#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# vmplab up, down, prepare, clean and status.

# Holds the lab's lock (file descriptor 8) up to $1 seconds long
lab_lock()
{
    exec 8>"$LAB_LOCK"
    flock -w "$1" 8 ||
        lab_die "another vmplab is starting or stopping the lab"
}

# up: ready and running, broken: hosts died, stale: none is left of it, down
lab_state()
{
    local i alive=0 dead=0

    [ -e "$LAB_RUN" ] || { echo down; return; }
    for i in "$LAB_RUN"/vm.*; do
        if lab_process_alive "$i" >/dev/null; then
            alive=$((alive + 1))
        else
            dead=$((dead + 1))
        fi
    done
    if [ $alive -eq 0 ]; then
        echo stale
    elif [ $dead -gt 0 ] || [ ! -e "$LAB_RUN/ready" ]; then
        echo broken
    else
        echo up
    fi
}

# Sets suite, hosts, links, of the running lab
lab_load()
{
    [ "$(lab_state)" != down ] || lab_die "the lab is down: vmplab up"
    [ -e "$LAB_RUN/ready" ] ||
        lab_die "the lab is being started, or its start was killed: wait," \
                "or vmplab down"
    # shellcheck source=/dev/null # written by lab_up_start
    . "$LAB_RUN/lab"
}

lab_teardown()
{
    lab_process_stop "$LAB_RUN"/vm.*
    lab_net_down
    rm -rf "$LAB_RUN"
}

# Whatever ends `up` before the lab is ready: no half of anything stays
lab_up_undo()
{
    local ret=$?

    trap '' INT TERM HUP
    trap - EXIT
    if [ "$LAB_UP_DONE" = 0 ]; then
        lab_step_stop
        [ "$LAB_UP_STARTED" = 0 ] || lab_teardown
        [ -z "$LAB_UP_LOCKED" ] || rm -rf --one-file-system \
            "$LAB_CACHE"/rootfs/*.tmp "$LAB_CACHE"/kernel-*.tmp
        [ $ret -lt 129 ] || lab_warn "interrupted; all is undone"
    fi
    exit $ret
}

lab_up_traps()
{
    LAB_UP_DONE=0
    LAB_UP_STARTED=0
    LAB_UP_LOCKED=
    trap lab_up_undo EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# Fills the cache with what a suite needs
lab_prepare()
{
    local suite

    lab_cache_lock
    LAB_UP_LOCKED=1
    lab_agent
    lab_kernel
    for suite in "$@"; do
        lab_rootfs "$suite"
        lab_build "$suite"
    done
    LAB_UP_LOCKED=
    lab_cache_unlock
}

lab_check_suite()
{
    case " $LAB_SUITES " in
    *" $1 "*) ;;
    *) lab_usage_error "unknown suite '$1': one of $LAB_SUITES" ;;
    esac
}

# Prints one rate a link from a list of one or of all
lab_rates()
{
    local links=$1 rates=() i rate

    IFS=, read -ra rates <<<"$2"
    [ ${#rates[@]} = 1 ] || [ ${#rates[@]} = "$links" ] ||
        lab_usage_error "--rate wants one rate, or one for each of $links links"
    for ((i = 0; i < links; i++)); do
        rate=${rates[$i]:-${rates[0]}}
        lab_in_range "$rate" 1 100000 ||
            lab_usage_error "'$rate' is no rate in Mbit/s"
        echo "$rate"
    done
}

lab_up_options()
{
    suite=trixie hosts=2 links=4 rate=50
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || lab_usage_error "$1 is unknown, or wants a value"
        case $1 in
        --suite) suite=$2 ;;
        --hosts) hosts=$2 ;;
        --links) links=$2 ;;
        --rate) rate=$2 ;;
        *) lab_usage_error "unknown option $1" ;;
        esac
        shift 2
    done
    lab_check_suite "$suite"
    lab_in_range "$hosts" 1 8 ||
        lab_usage_error "--hosts wants 1 to 8"
    lab_in_range "$links" 1 64 ||
        lab_usage_error "--links wants 1 to 64"
}

lab_up_refuse()
{
    case $(lab_state) in
    up)
        lab_die "the lab is up already ($(lab_summary)): vmplab down first"
        ;;
    broken)
        lab_die "a lab is up, but not all of its hosts: vmplab down first"
        ;;
    stale)
        lab_say "cleaning up a lab that was never taken down"
        lab_teardown
        ;;
    esac
}

# The lab proper: $suite, $hosts, $links, and the rates of all links
lab_up_start()
{
    local i tree accel

    tree=$(lab_rootfs_path "$suite")
    accel=$(lab_accel)
    LAB_UP_STARTED=1
    mkdir -p "$LAB_CACHE/layer"
    mkdir -m 700 "$LAB_RUN"
    printf 'suite=%s\nhosts=%s\nlinks=%s\ncheckout=%q\n' "$suite" "$hosts" \
           "$links" "$LAB_SOURCE" >"$LAB_RUN/lab"
    cp "$LAB_AGENT" "$LAB_RUN/vmplab-agent"
    lab_initramfs "$LAB_RUN/initrd.img"
    lab_net_up "$hosts" "$links"
    for ((i = 1; i <= hosts; i++)); do
        lab_vm_start $i "$hosts" "$tree" "$accel"
    done
    for ((i = 1; i <= links; i++)); do
        lab_link_apply $i "$1" up
        shift
    done
    lab_say "booting $hosts hosts of $suite ($accel)"
    for ((i = 1; i <= hosts; i++)); do
        lab_vm_wait $i
    done
}

lab_cmd_up()
{
    local suite hosts links rate rates

    lab_up_options "$@"
    rates=$(lab_rates "$links" "$rate")
    lab_need_host
    lab_need_tun
    lab_up_traps
    lab_lock 0
    lab_up_refuse
    lab_prepare "$suite"
    # shellcheck disable=SC2086 # one word a rate
    lab_up_start $rates
    lab_counters_save
    touch "$LAB_RUN/ready"
    LAB_UP_DONE=1
    lab_say "up: $(lab_summary)"
}

lab_need_tun()
{
    # A container may show the device without allowing it
    (exec 7<>/dev/net/tun) 2>/dev/null ||
        lab_die "cannot open /dev/net/tun: needs the tun module, and in a" \
                "container the device and CAP_NET_ADMIN"
}

lab_cmd_down()
{
    [ $# = 0 ] || lab_usage_error "down takes no arguments"
    lab_need_root
    lab_lock 20
    if [ "$(lab_state)" = down ]; then
        lab_say "the lab is down already"
        return 0
    fi
    lab_teardown
    lab_say "down"
}

lab_cmd_prepare()
{
    local suites=$LAB_SUITES

    if [ "${1:-}" = --suite ] && [ $# = 2 ]; then
        lab_check_suite "$2"
        suites=$2
    elif [ $# != 0 ]; then
        lab_usage_error "prepare [--suite SUITE]"
    fi
    lab_need_host
    lab_up_traps
    # shellcheck disable=SC2086 # a list of names
    lab_prepare $suites
    LAB_UP_DONE=1
    lab_say "prepared: $suites"
}

# vmplab _check SUITE: for test/ctest/lab.sh
lab_cmd_check()
{
    [ $# = 1 ] || lab_usage_error "_check wants a suite"
    lab_check_suite "$1"
    lab_need_host
    lab_up_traps
    lab_prepare "$1"
    # Nobody else may build in this directory meanwhile
    lab_cache_lock
    lab_build_check "$1"
    LAB_UP_DONE=1
}

lab_cmd_clean()
{
    [ $# = 0 ] || lab_usage_error "clean takes no arguments"
    lab_need_root
    lab_lock 0
    [ "$(lab_state)" = down ] || lab_die "the lab is up: vmplab down first"
    lab_cache_lock
    rm -rf --one-file-system "$LAB_CACHE"
    lab_say "removed $LAB_CACHE"
}

lab_summary()
{
    local suite hosts links checkout i names=

    # shellcheck source=/dev/null # written by lab_up_start
    . "$LAB_RUN/lab"
    for ((i = 1; i <= hosts; i++)); do
        names+=" $(lab_host_name $i)"
    done
    echo "$suite, hosts$names, $links links"
}

# Exit code: 0 up, 1 down, 2 not as it should be
lab_cmd_status()
{
    local suite hosts links checkout i state rate

    [ $# = 0 ] || lab_usage_error "status takes no arguments"
    state=$(lab_state)
    echo "lab: $state"
    [ "$state" != down ] || return 1
    [ -e "$LAB_RUN/ready" ] || return 2
    lab_load
    echo "suite: $suite"
    echo "checkout: ${checkout:-}"
    for ((i = 1; i <= hosts; i++)); do
        printf 'host %s: %s, console %s\n' "$(lab_host_name $i)" \
            "$(lab_process_alive "$LAB_RUN/vm.$i" | sed 's/^/process /' |
               grep . || echo ended)" \
            "$LAB_RUN/console.$(lab_host_name $i)"
    done
    for ((i = 1; i <= links; i++)); do
        read -r rate state < <(lab_link_state $i)
        echo "link $i: $rate Mbit/s, $state"
    done
    [ "$(lab_state)" = up ] || return 2
}
