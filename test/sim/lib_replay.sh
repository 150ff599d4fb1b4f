# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# shellcheck shell=bash
#
# For mutations.sh: whether a seed that fails can be seen again the way that the
# program says.

replay_seconds=200      # of one run; to shrink takes 120 at most
replay_exit=3           # exit code: a rule was broken

# verdict FILE: what was broken, when and how
verdict() {
    sed -n 's/^sim_[a-z]*: \(seed [0-9]*: rule ".*\)/\1/p' "$1"
}

# rule FILE: the same without when and how
rule() {
    sed -n 's/^sim_[a-z]*: \(seed [0-9]*: rule "[a-z-]*" is broken\).*/\1/p' \
        "$1"
}

# Acts that are listed, and lines of the trace: these begin with the time
acts() { grep -cE '^ {2,4}[0-9]{1,4} +[0-9]+ [a-z]' "$1" || true; }
trace() { grep -E '^ *[0-9]+ [a-zA-Z]' "$1" || true; }

# as_printed DIR FILE OUT: do what FILE says after its last "replay: "
as_printed() {
    local dir=$1 file=$2 out=$3 line ret=0
    local -a words

    line=$(sed -n 's/.*replay: //p' "$file" | tail -n 1)
    awk '/replay: / { text = ""; next } { text = text $0 "\n" }
        END { printf "%s", text }' "$file" >"$dir/FILE"
    read -ra words <<<"${line%%,\ with\ *}"
    (cd "$dir" && unset "${!VMP_@}" &&
        timeout "$replay_seconds" env "${words[@]}") >"$out" 2>&1 || ret=$?
    [ $ret -eq "$replay_exit" ] ||
        echo "ended with $ret, not $replay_exit: $line"
}

# shrunk DIR PROGRAM SEED OUT
shrunk() {
    local ret=0

    (cd "$1" && unset "${!VMP_@}" &&
        case $2 in
            sim_core) export VMP_SIM_SEED="$3" VMP_SIM_SHRINK=1 ;;
            *) export VMP_TEST_SEED="$3" VMP_TEST_ROUNDS=1 ;; # does by itself
        esac && timeout "$replay_seconds" "./$2") >"$4" 2>&1 || ret=$?
    [ $ret -eq "$replay_exit" ] || echo "to shrink it ended with $ret"
}

# looks_traced FILE MIN: at least so many lines, up to where it broke
looks_traced() {
    local end num last

    end=$(sed -n 's/.* is broken at \([0-9]*\) ns: .*/\1/p' "$1")
    num=$(trace "$1" | wc -l)
    last=$(trace "$1" | tail -n 1 | awk '{print $1}')
    [ "$num" -ge "$2" ] || echo "$num lines of trace"
    if [ "${last:-0}" -eq 0 ] || [ "$last" -gt "${end:-0}" ]; then
        echo "the trace ends at ${last:-?} ns, but it broke at ${end:-?}"
    fi
}

# replay DIR PROGRAM OUT: says what is wrong, if anything. OUT: of random seeds
replay() {
    local dir=$1 program=$2 out=$3 seed left all

    seed=$(verdict "$out" | sed 's/seed \([0-9]*\):.*/\1/')
    as_printed "$dir" "$out" "$dir/again"
    if [ -z "$seed" ] ||
        [ "$(verdict "$dir/again")" != "$(verdict "$out")" ]; then
        echo "was:    $(verdict "$out")"
        echo "now is: $(verdict "$dir/again")"
    fi
    looks_traced "$dir/again" 10

    shrunk "$dir" "$program" "$seed" "$dir/short"
    read -r left all < <(sed -n \
        's/^shrink: \([0-9]*\) of \([0-9]*\) acts are left.*/\1 \2/p' \
        "$dir/short") || true
    [ "${left:-1}" -lt "${all:-0}" ] || echo "is not shorter: $left of $all"
    as_printed "$dir" "$dir/short" "$dir/again_short"
    [ "$(rule "$dir/again_short")" = "$(rule "$out")" ] ||
        echo "was: $(rule "$out"), is when shrunk: $(rule "$dir/again_short")"
    looks_traced "$dir/again_short" 3
    [ "$(acts "$dir/again")/$(acts "$dir/again_short")" = "$all/$left" ] ||
        echo "$(acts "$dir/again") and $(acts "$dir/again_short") acts, not" \
            "$all and $left"
}
