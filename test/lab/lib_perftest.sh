#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# ucx_perftest in batches: one pair of processes runs many tests, since starting
# a pair costs more than most tests do. Source it after lib.sh.
#
# A list of tests is in ucx_perftest's own form (option -b): lines of a name and
# options. Given two lists, it runs every line of the one with every line of the
# other.

batch_port=16500

# UCX 1.18 gives up at its module gga, which needs mlx5 devices, before it comes
# to the transport of a UCT test
# shellcheck disable=SC2034 # the tests use it
NO_GGA=UCX_MODULES=^rocm,mad,mlx5

# list NAME: a list of tests from standard input
list()
{
    cat >"$OUT/$1"
}

# batch_send FILE: to both hosts, under the same name in /tmp
batch_send()
{
    local host

    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        "$VMPLAB" exec $host --timeout 30 -- \
            bash -c 'cat >/tmp/"$1"' - "${1##*/}" <"$1"
    done
}

# The tests that TYPES and SIZES make, a line each: name, bytes from a to b and
# from b to a at least. An option in SIZES overrides one in TYPES.
batch_tests()
{
    awk '
        function options(line,    words, n, i, size, list) {
            n = split(line, words, " ")
            for (i = 2; i < n; ++i) {
                if (words[i] == "-t")
                    test = words[i + 1]
                else if (words[i] == "-n")
                    count = words[i + 1]
                else if (words[i] == "-s") {
                    bytes = 0
                    size = split(words[i + 1], list, ",")
                    while (size > 0)
                        bytes += list[size--]
                }
            }
            return words[1]
        }
        function one(name,    ab, ba) {
            ab = bytes * count
            ba = 0
            if (test ~ /_lat$/)
                ba = ab
            else if (test ~ /^(ucp_)?get/) {
                ba = ab
                ab = 0
            }
            print name, ab, ba
        }
        /^ *(#|$)/ { next }
        FILENAME == ARGV[1] { types[++num_types] = $0; next }
        { sizes[++num_sizes] = $0 }
        END {
            for (i = 1; i <= num_types; ++i) {
                if (ARGC == 2)
                    one(options(types[i]))
                for (j = 1; j <= num_sizes; ++j) {
                    name = options(types[i])
                    one(name "," options(sizes[j]))
                }
            }
        }' "$@"
}

# batch_run SECONDS TYPES SIZES [NAME=VALUE...] [-- OPTION...]: both programs;
# SIZES may be "". Output in $OUT/client, $OUT/server.
batch_run()
{
    local seconds=$1 lists=(-b "/tmp/${2##*/}") settings=()

    batch_send "$2"
    if [ -n "$3" ]; then
        batch_send "$3"
        lists+=(-b "/tmp/${3##*/}")
    fi
    shift 3
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    [ $# = 0 ] || shift
    batch_port=$((batch_port + 1))
    # shellcheck disable=SC2086,SC2154 # options are words; from lib.sh
    pair "$seconds" $batch_port \
         env "${TEST_ENV[@]}" "${PERF_ENV[@]}" "${settings[@]}" \
         "${LAUNCH[@]}" ucx_perftest $perf_options -p $batch_port \
         "${lists[@]}" "$@" -- \
         env "${TEST_ENV[@]}" "${PERF_ENV[@]}" "${settings[@]}" \
         "${LAUNCH[@]}" ucx_perftest b $perf_options -p $batch_port \
         "${lists[@]}" -w 1 -f -v "$@"
}

# Names of the tests that gave a result: names, then four numbers or more
batch_results()
{
    sed -nE 's/^([^][,]+(,[^][,]+)?), *[0-9]+(,[-0-9.a-z]+){3,7}$/\1/p' \
        "$OUT/client"
}

# perf_batch WHAT SECONDS TYPES SIZES [NAME=VALUE...] [-- OPTION...]: every test
# gives a result, the links carried all payload, and all lanes are ours.
perf_batch()
{
    local what=$1 missing count ret=0 sums

    shift
    counters_reset
    SECONDS=0
    batch_run "$@" || ret=$?
    cat "$2" >>"$OUT/ran"
    batch_tests "$2" ${3:+"$3"} >"$OUT/tests"
    batch_results | LC_ALL=C sort >"$OUT/results"
    count=$(wc -l <"$OUT/tests")
    missing=$(awk '{ print $1 }' "$OUT/tests" | LC_ALL=C sort |
              LC_ALL=C comm -23 - "$OUT/results" | wc -l)
    if [ $ret != 0 ] || [ "$missing" != 0 ]; then
        problem "$what: $missing of $count tests have no result, the first is" \
                "$(awk 'FILENAME == ARGV[1] { done[$1] = 1; next }
                        !($1 in done) { print $1; exit }' \
                       "$OUT/results" "$OUT/tests") (exit code $ret)"
        show "$OUT/client" "$OUT/server"
        return 0
    fi
    sums=$(awk '{ ab += $2; ba += $3 } END { printf "%d %d", ab, ba }' \
               "$OUT/tests")
    # shellcheck disable=SC2086 # two numbers
    assert_traffic "$what" $sums
    case " $* " in
        *' -x '*) ;; # below UCP: no lanes, the transport was named
        *) assert_lanes "$what" "$OUT/client" "$OUT/server" ;;
    esac
    say "$what: $count tests in $SECONDS s, payload $sums bytes"
}

# Where UCX's lists of tests for the hosts' UCX are: its package with documentation,
# which examples.sh has fetched, else its sources
perf_lists()
{
    local cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmp-lab suite version dir

    suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    version=$(on a 20 ucx_info -v | sed -nE 's/.*ersion:? ([0-9.]+).*/\1/p' |
              head -n 1)
    for dir in "$cache/layer/$suite"-*/usr/share/doc/libucx-dev/perftest \
               "${VMPLAB_UCX_SOURCE:-/nonexistent}/ucx-$version/contrib/ucx_perftest_config"
    do
        [ ! -d "$dir" ] || { echo "$dir"; return 0; }
    done
    return 1
}

# The options of each test of a list on standard input, less those that are the
# default. Not those with memory of GPUs.
perf_options_of()
{
    sed -E 's/#.*//; / -m [^ ]*(cuda|rocm)/d; s/^ *[^ ]+ *//; s/ +/ /g
            s/ -D contig,contig( |$)/\1/; s/ -r recv( |$)/\1/; s/ $//; /^$/d' |
        LC_ALL=C sort -u
}

# perf_complete LEFT_OUT LIST...: perf_batch has run all tests of UCX's lists of these
# names, but for those in LEFT_OUT
perf_complete()
{
    local dir name lists=() missing

    dir=$(perf_lists) || {
        say "not compared with UCX's lists: examples.sh fetches them, or set" \
            "VMPLAB_UCX_SOURCE"
        return 0
    }
    for name in "${@:2}"; do
        [ ! -e "$dir/$name" ] || lists+=("$dir/$name")
    done
    # Debian 12 packages some of them only, but these always
    [ ${#lists[@]} -gt 0 ] || fail "no list of UCX's in $dir"
    cat "${lists[@]}" | perf_options_of >"$OUT/theirs"
    missing=$(cat "$1" "$OUT/ran" | perf_options_of |
              LC_ALL=C comm -13 - "$OUT/theirs" | paste -sd ';')
    [ -z "$missing" ] || problem "in $dir, but not run: $missing"
    say "compared with UCX's lists: $(wc -l <"$OUT/theirs") tests in" \
        "${lists[*]##*/}"
}

# over TRANSPORTS CMD...: other ones in place of ours
over()
{
    local test_env=("${TEST_ENV[@]}") launch=("${LAUNCH[@]}") ret=0

    TEST_ENV=(UCX_TLS="$1" UCX_IB_GID_INDEX=2 UCX_LOG_LEVEL=info)
    LAUNCH=()
    shift
    "$@" || ret=$?
    TEST_ENV=("${test_env[@]}") LAUNCH=("${launch[@]}")
    return $ret
}

# Controls that gave a result
perf_controls=()

# perf_control TRANSPORTS TEST_LINE THEIR_OPTIONS [NAME=VALUE...]: a test that works
# over these, once. Else that another one has no result there tells nothing of UCX.
perf_control()
{
    local tls=$1 line=$2 theirs=$3 key="$*" known

    for known in ${perf_controls[@]+"${perf_controls[@]}"}; do
        [ "$known" != "$key" ] || return 0
    done
    printf '%s\n' "$line" >"$OUT/control"
    shift 3
    # shellcheck disable=SC2086 # options are words
    over "$tls" batch_run 60 "$OUT/control" "" "$@" -- $theirs || true
    if [ -z "$(batch_results)" ]; then
        show "$OUT/client" "$OUT/server"
        fail "${line%% *}, which works over ${tls%%,*}, has no result there:" \
             "nothing can be left out because of ${tls%%,*}"
    fi
    perf_controls+=("$key")
    say "over ${tls%%,*} ${line%% *} works"
}

# perf_excluded TRANSPORTS REASON CONTROL_LINE TEST_LINE THEIR_OPTIONS OUR_OPTIONS
# [NAME=VALUE...]: a test that is left out, because UCX does not do it over these
# transports either, though it does the control, which lacks what the reason names.
# Where it does, we must, too.
perf_excluded()
{
    local tls=$1 reason=$2 control=$3 line=$4 theirs=$5 us=$6 name=${4%% *}

    shift 6
    perf_control "$tls" "$control" "$theirs" "$@"
    printf '%s\n' "$line" >"$OUT/excluded"
    # shellcheck disable=SC2086 # options are words
    over "$tls" batch_run 20 "$OUT/excluded" "" "$@" -- $theirs || true
    if [ -z "$(batch_results)" ]; then
        say "left out: $name: $reason; over ${tls%%,*}:" \
            "$(grep -ahoE '(ERROR|Assertion) .*' "$OUT/client" "$OUT/server" |
               head -n 1 | grep . || echo 'no result within 20 s')"
        return 0
    fi
    # shellcheck disable=SC2086 # options are words
    perf_batch "$name, which ${tls%%,*} does" 30 "$OUT/excluded" "" "$@" -- $us
}
