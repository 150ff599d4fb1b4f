#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# How a program may end that wants more locked memory than it may have; source it
# after lib.sh.

# memlock_line FILE...: the first of the lines that docs/troubleshooting.md has for
# this
memlock_line()
{
    local lines='not used: cannot register [0-9]* bytes with a limit of' found

    lines+='|cannot register memory at .*limit of locked memory'
    lines+='|no (send|receive) buffers: memory or its lockable part'
    lines+='|no more memory for .*: going on with [0-9]* buffers'
    lines+='|set max locked memory \(ulimit -l\)'
    lines+='|failed to register address .*: '
    found=$(grep -ahoE "($lines).*" "$@") || return 1
    echo "${found%%$'\n'*}"
}

# Of UCX, over rc_verbs as over vmp (docs/lab.md): it asserts where it finds that
# a message's memory cannot be registered, and the other side waits for ever
MEMLOCK_UCX='Assertion .rkey_size == .*packed_rkey_size. failed'

# memlock_ended WHAT CODE FILE...: it has not worked, and says why in one of the
# files. A crash or a hang says nothing, but for that of UCX.
memlock_ended()
{
    local what=$1 code=$2 line

    shift 2
    if ! line=$(memlock_line "$@"); then
        problem "$what: $code, and no line says why"
        show "$@"
    elif grep -aqE "$MEMLOCK_UCX" "$@"; then
        say "$what: UCX asserts, $code: $line"
    elif [ "$code" = 124 ] || [ "$code" = 139 ] ||
         grep -aqiE 'assert|signal 11|segmentation' "$@"; then
        problem "$what: crash or hang ($code) after: $line"
        show "$@"
    else
        say "$what: ends with $code: $line"
    fi
}
