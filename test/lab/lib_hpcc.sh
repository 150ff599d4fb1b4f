#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# hpcc from Debian, with Open MPI over vmp alone; source it after lib_mpi.sh and
# lib_layer.sh.

# hpcc judges each of its parts itself. The matrix is tiny: in an emulated host
# the usual ones take very long.
test_hpcc()
{
    local bad

    # shellcheck disable=SC2016 # for the shell over there
    on a 20 sh -c 'cd /root
        sed -e "s/^1000 .*Ns/40 Ns/" -e "s/^80 .*NBs/8 NBs/" \
            -e "s/^2 .*Ps/1 Ps/" "$(find /usr/share/doc/hpcc \
            -name _hpccinf.txt)" >hpccinf.txt; rm -f hpccoutf.txt'
    mpi_program "hpcc" 500 1 1000000 hpcc || return 0
    on a 20 cat /root/hpccoutf.txt >>"$OUT/mpi"
    mpi_has hpcc '^Success=1'
    mpi_has hpcc '^HPL_Tflops='
    bad='FAILED|Failures=[1-9]|^ *[1-9][0-9]* tests completed and failed'
    if grep -aqE "$bad" "$OUT/mpi"; then
        problem "hpcc: wrong results"
        grep -aE "$bad" "$OUT/mpi"
    fi
}
