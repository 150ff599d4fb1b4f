#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# MPI programs from Debian that nobody here wrote, with Open MPI over vmp alone:
# NetPIPE (integrity, bandwidth), mpi4py's benchmarks; and a program for mpi4py.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"

test_netpipe()
{
    mpi_program "NetPIPE, integrity" 100 1 100000 NPopenmpi -i -u 20000 \
        -o /tmp/np.out && {
        mpi_has "NetPIPE, integrity" 'Integrity check passed' 20
        ! grep -ai 'integrity check failed' "$OUT/mpi" ||
            problem "NetPIPE: contents differ"
    }
    mpi_program "NetPIPE, bandwidth" 100 1 1000000 NPopenmpi -l 65536 \
        -u 300000 -n 5 -o /tmp/np.out && mpi_has "NetPIPE, bandwidth" 'Mbps' 4
    return 0
}

test_mpi4py()
{
    local module=(python3 -m mpi4py.bench)

    mpi_program "mpi4py.bench helloworld" 60 1 0 "${module[@]}" helloworld &&
        mpi_has "mpi4py.bench helloworld" 'Hello, World!' 2
    # Of contents that differ it just warns
    module=(python3 -W error::UserWarning -m mpi4py.bench)
    mpi_program "mpi4py.bench ringtest" 60 1 1000000 "${module[@]}" ringtest \
        -n 100000 -l 20 && mpi_has "mpi4py.bench ringtest" 'time for 20 loops'
    mpi_program "mpi4py program" 120 1 3000000 \
        python3 "$LIBEXEC/vmp_mpi4py.py" &&
        mpi_has "mpi4py program" 'vmp_mpi4py: PASS'
    return 0
}

lab_start
layer_mount netpipe-openmpi,python3-mpi4py
test_netpipe
test_mpi4py
lab_end
