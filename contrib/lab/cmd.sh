#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# vmplab exec, link, counters and help.

lab_host_number()
{
    local i

    for ((i = 1; i <= hosts; i++)); do
        [ "$(lab_host_name $i)" != "$1" ] || { echo $i; return 0; }
    done
    lab_die "the lab has no host '$1'"
}

lab_cmd_exec()
{
    local suite hosts links checkout host number options=()

    [ $# -ge 1 ] || lab_usage_error "exec wants a host"
    host=$1
    shift
    if [ "${1:-}" = --timeout ]; then
        [[ ${2:-} =~ ^[0-9]+(\.[0-9]+)?$ ]] ||
            lab_usage_error "--timeout wants seconds"
        options=(--timeout "$2")
        shift 2
    fi
    if [ "${1:-}" != -- ] || [ $# -lt 2 ]; then
        lab_usage_error "exec HOST [--timeout S] -- CMD..."
    fi
    lab_need_root
    lab_load
    number=$(lab_host_number "$host")
    lab_process_alive "$LAB_RUN/vm.$number" >/dev/null ||
        lab_die "host $host has ended: vmplab down, and look at its console"
    exec "$LAB_RUN/vmplab-agent" exec \
         --netns "$(lab_netns_path "$LAB_MGMT")" \
         --address "10.77.$number.2" "${options[@]}" "$@"
}

lab_cmd_link()
{
    local suite hosts links checkout n=${1:-} rate state

    lab_need_root
    lab_load
    lab_in_range "$n" 1 "$links" ||
        lab_usage_error "link wants a number from 1 to $links"
    lab_lock 20
    read -r rate state < <(lab_link_state "$n")
    case ${2:-}:$# in
    rate:3)
        lab_in_range "$3" 1 100000 ||
            lab_usage_error "'$3' is no rate in Mbit/s"
        # A cut link stays cut: heal gives it the new rate
        rate=$3
        ;;
    cut:2) state="cut" ;;
    cut:3)
        case $3 in
            ab | ba) state=cut-$3 ;;
            *) lab_usage_error "cut wants ab or ba, or nothing for both ways" ;;
        esac
        ;;
    heal:2) state=up ;;
    *) lab_usage_error "link N rate MBIT | cut [ab|ba] | heal" ;;
    esac
    lab_link_apply "$n" "$rate" "$state"
}

lab_netdev()
{
    nsenter --net="$(lab_netns_path "$1")" cat /proc/net/dev
}

# Lines "KEY BYTES PACKETS" since the lab's start. A link's bytes are those
# that left a leaf over it; mgmt's are those that hosts sent.
lab_counters_raw()
{
    lab_netdev "$LAB_LEAF_A" | awk '$1 ~ /^l[0-9]+:/ {
        sub(":", "", $1); print $1 ".ab", $10, $11 }'
    lab_netdev "$LAB_LEAF_B" | awk '$1 ~ /^l[0-9]+:/ {
        sub(":", "", $1); print $1 ".ba", $10, $11 }'
    lab_netdev "$LAB_MGMT" | awk '$1 ~ /^mgmt[0-9]+:/ { b += $2; p += $3 }
        END { printf "mgmt %d %d\n", b, p }'
}

lab_counters_save()
{
    lab_counters_raw >"$LAB_RUN/base.new"
    mv "$LAB_RUN/base.new" "$LAB_RUN/base"
}

lab_counters_print()
{
    awk -v links="$links" -v json="$1" '
    FNR == NR { base_b[$1] = $2; base_p[$1] = $3; next }
    { b[$1] = $2 - base_b[$1]; p[$1] = $3 - base_p[$1] }
    function pair(key) {
        return sprintf("{\"bytes\":%d,\"packets\":%d}", b[key], p[key])
    }
    END {
        if (json) {
            printf "{\"links\":["
            for (i = 1; i <= links; i++)
                printf "%s{\"link\":%d,\"ab\":%s,\"ba\":%s}",
                       (i > 1) ? "," : "", i, pair("l" i ".ab"),
                       pair("l" i ".ba")
            printf "],\"mgmt\":%s}\n", pair("mgmt")
            exit
        }
        printf "%-6s %14s %10s %14s %10s\n", "", "a->b bytes", "packets",
               "b->a bytes", "packets"
        for (i = 1; i <= links; i++)
            printf "link %-2d%14d %10d %14d %10d\n", i, b["l" i ".ab"],
                   p["l" i ".ab"], b["l" i ".ba"], p["l" i ".ba"]
        printf "mgmt   %14d %10d\n", b["mgmt"], p["mgmt"]
    }' "$LAB_RUN/base" -
}

lab_cmd_counters()
{
    local suite hosts links checkout json=0 reset=0

    while [ $# -gt 0 ]; do
        case $1 in
        --json) json=1 ;;
        --reset) reset=1 ;;
        *) lab_usage_error "counters [--reset] [--json]" ;;
        esac
        shift
    done
    lab_need_root
    lab_load
    # With both: what was counted up to the very reset
    lab_counters_raw >"$LAB_RUN/now.$$"
    if [ $reset = 0 ] || [ $json = 1 ]; then
        lab_counters_print $json <"$LAB_RUN/now.$$"
    fi
    if [ $reset = 1 ]; then
        mv "$LAB_RUN/now.$$" "$LAB_RUN/base"
    else
        rm -f "$LAB_RUN/now.$$"
    fi
}

lab_cmd_packages()
{
    lab_host_packages | cut -d' ' -f2 | LC_ALL=C sort -u
}

lab_cmd_help()
{
    cat <<'END'
usage: vmplab COMMAND

  up [--suite bookworm|trixie] [--hosts N] [--links N] [--rate MBIT[,MBIT...]]
        start a lab (trixie, 2 hosts, 4 links of 50 Mbit/s each) with this
        checkout built and installed in /opt/vmp of the hosts
  exec HOST [--timeout S] -- CMD...
        run a command in host a, b, c...; its input, output, errors and exit
        code are the command's; 124 when it took longer than S seconds
  link N rate MBIT | cut [ab|ba] | heal
        change a link (from 1); cut: packets vanish, both ways or those from
        a's side or b's alone, carrier and routes stay
  counters [--reset] [--json]
        bytes and packets of each link and direction, and of the management
        network
  status    what is up (exit code 0: up, 1: down, 2: not as it should be)
  down      end the lab; nothing of it stays
  help      this text

  prepare [--suite SUITE]   fill the cache (all suites) and build, no start
  gtest [--suite SUITE]     build UCX's own tests; prints the program's path
  packages                  the Debian packages this machine needs
  clean                     remove the cache

Environment: VMPLAB_NO_BUILD=1 (no build of ours), VMPLAB_CONFIGURE_ARGS (for
configure), VMPLAB_HASH_SEED (fixes ECMP's choices), VMPLAB_MIRROR, VMPLAB_MEM
(MiB a host), VMPLAB_LIFE (seconds until hosts end themselves),
VMPLAB_UCX_SOURCE (directory that holds ucx-VERSION), VMPLAB_BOOT_TIMEOUT, XDG_CACHE_HOME. More in docs/lab.md.
END
}
