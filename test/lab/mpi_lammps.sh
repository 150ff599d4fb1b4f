#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 500
#
# LAMMPS from Debian, with Open MPI over vmp alone: its results have to be those
# over TCP.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"

# Physics of a few steps: what LAMMPS prints after "Step", without its times
lammps_result()
{
    sed -n '/^ *Step /,/^Loop time/p' "$OUT/mpi" | grep -v '^Loop'
}

# The example "melt" of LAMMPS, with fewer atoms
lammps_input()
{
    cat <<'END'
units           lj
atom_style      atomic
lattice         fcc 0.8442
region          box block 0 6 0 6 0 6
create_box      1 box
create_atoms    1 box
mass            1 1.0
velocity        all create 3.0 87287 loop geom
pair_style      lj/cut 2.5
pair_coeff      1 1 1.0 1.0 2.5
neighbor        0.3 bin
neigh_modify    every 20 delay 0 check no
fix             1 all nve
thermo          10
run             100
END
}

test_lammps()
{
    local host want

    for host in a b; do
        lammps_input |
            "$VMPLAB" exec "$host" --timeout 20 -- sh -c 'cat >/tmp/melt.in'
    done
    on a 200 mpirun.openmpi --host a:2,b:2 -np 4 --bind-to none \
        --mca pml ob1 --mca btl tcp,self --mca mpi_yield_when_idle 1 \
        lmp -in /tmp/melt.in -log none >"$OUT/mpi" 2>&1 || {
        problem "LAMMPS over TCP: does not run"
        show "$OUT/mpi"
        return 0
    }
    want=$(lammps_result)
    [ "$(wc -l <<<"$want")" = 12 ] || {
        problem "LAMMPS over TCP: no results"
        show "$OUT/mpi"
    }
    mpi_program LAMMPS 200 2 500000 lmp -in /tmp/melt.in -log none || return 0
    if [ "$(lammps_result)" != "$want" ]; then
        problem "LAMMPS: other results than over TCP"
        lammps_result | diff - <(echo "$want") || true
    fi
    say "LAMMPS: $(tail -n 1 <<<"$want" | xargs)"
}

lab_start
layer_mount lammps
test_lammps
lab_end
