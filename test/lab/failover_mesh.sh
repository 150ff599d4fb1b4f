#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 700
#
# Many connections at once, and endpoints that come and go, while links are cut and
# healed: eight processes, each with endpoints to all.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

# mesh_cut CYCLES
# shellcheck disable=SC2317 # under_round calls it
mesh_cut()
{
    mesh "links cut one on the other" 4 \
         "-e 2 -i 30 -t $((mesh_limit - 10)) -c $1" ""
}

failover_start
cut_logs=("$OUT/mesh.a" "$OUT/mesh.b")
# shellcheck disable=SC2034 # lib_programs.sh uses it
mesh_limit=300
under_round vmp_mesh cutter_many 4 mesh_cut
lab_end
