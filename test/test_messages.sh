#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Every warning and error that a user can see has its entry in
# docs/troubleshooting.md: of each message in the sources, the longest piece
# between two values stands there.

set -eu

src=${VMP_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
doc=$src/docs/troubleshooting.md
missing=0

# Prints "FILE<tab>MESSAGE" for each call of a function that logs; values are
# "%"
messages_c()
{
    awk '
    BEGIN {
        RS = "\001" # none: the file as a whole
        call = "(vmp_error|vmp_warn|vmp_log_at|vmp_preload_complain|" \
               "uct_vmp_abi_refuse)\\("
    }
    {
        text = $0
        gsub(/[ \n]*#[ ]*define[^\n]*(\\\n[^\n]*)*/, "", text)
        while (match(text, call)) {
            text = substr(text, RSTART + RLENGTH)
            end = match(text, /\);/)
            print_strings(substr(text, 1, end))
        }
    }
    # Literals with nothing between them are one
    function print_strings(args)
    {
        gsub(/"[ \n]*(PRI[a-z0-9]+)?[ \n]*"/, "", args)
        gsub(/\\"/, "\002", args)
        while (match(args, /"[^"]*"/)) {
            print FILENAME "\t" substr(args, RSTART + 1, RLENGTH - 2)
            args = substr(args, RSTART + RLENGTH)
        }
    }' "$@" | sed -E 's/\x02/"/g; s/%[-0-9.]*(hh|h|ll|l|z)?[a-zA-Z]?/%/g'
}

messages_sh()
{
    # shellcheck disable=SC2016 # a pattern
    sed -nE 's/^.*\b(die|warn) "([^"]*)".*/\2/p' "$1" |
        sed -E "s|\\$\\{?[A-Za-z0-9_]+[^} ,:]*\\}?|%|g; s|^|$1\t|"
}

# Of each message the longest piece, without what is nothing to look for
longest()
{
    awk -F '\t' '{
        best = ""
        count = split($2, pieces, "%")
        for (i = 1; i <= count; i++) {
            gsub(/^vmp: |^[^A-Za-z0-9"]+|(\\n|0x)$|[ :;,(]+$/, "", pieces[i])
            if (length(pieces[i]) > length(best))
                best = pieces[i]
        }
        print $1 "\t" best
    }'
}

# One line, without the marks of literals
known=$(tr '\n' ' ' <"$doc" | tr -d '`' | tr -s ' ')
mapfile -t files < <(find "$src/src" -name '*.[ch]' ! -path '*/port/sim/*' |
                     LC_ALL=C sort)
mapfile -t list < <({
    messages_c "${files[@]}"
    messages_sh "$src/src/preload/vmprun.in"
} | longest)
if [ ${#list[@]} -lt 100 ]; then
    echo "FAIL: found ${#list[@]} messages only: the pattern is out of date"
    exit 1
fi
for line in "${list[@]}"; do
    piece=${line#*$'\t'}
    # Words that are put into a message
    [ ${#piece} -ge 12 ] || continue
    if [[ $known != *"$piece"* ]]; then
        echo "FAIL: ${line%%$'\t'*} can say \"$piece\", of which" \
             "docs/troubleshooting.md knows nothing"
        missing=$((missing + 1))
    fi
done
[ $missing -eq 0 ] || exit 1
echo "${#list[@]} messages"
