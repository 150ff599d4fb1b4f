#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# Memory that comes and goes under registrations, and access to none.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"

lab_start
# UCX 1.13 cannot put out of memory that is read-only: it ends by an assertion
# in rndv.c, since nobody registers that; the same over rc_verbs
not_read_only=
! ucx_is_before 1.18 || not_read_only=-R
two default vmp_memory "-n 10" ""
two "with large regions" vmp_memory "-n 2 -m 65536 -H 256" ""
two "rendezvous by get" vmp_memory "-n 6" UCX_RNDV_SCHEME=get_zcopy
two "rendezvous by put" vmp_memory "-n 6 $not_read_only" UCX_RNDV_SCHEME=put_zcopy
two "no registration cache of ours" vmp_memory "-n 3" UCX_VMP_RCACHE=n
two "always rendezvous" vmp_memory "-n 6 -m 131072" UCX_RNDV_THRESH=0
two "what is not there" vmp_memory "-n 1 -m 65536 -I" ""
lab_end
