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
# What UCX itself does not do, which is the same over rc_verbs. It cannot put out
# of memory that is read-only, since nobody registers that: 1.13 ends by an
# assertion in rndv.c, 1.18 never does it. UCX 1.18 keeps registrations of memory
# over which mremap() has put other pages, and its protocols do a get by a message
# whose receiver reads what it was asked for, there or not: it dies of SIGSEGV.
no_mremap='' no_proto=''
ucx_is_before 1.18 || no_mremap=-M no_proto=UCX_PROTO_ENABLE=n
two default vmp_memory "-n 10" ""
two "with large regions" vmp_memory "-n 2 -m 65536 -H 256" ""
two "rendezvous by get" vmp_memory "-n 6 $no_mremap" UCX_RNDV_SCHEME=get_zcopy
two "rendezvous by put" vmp_memory "-n 6 -R $no_mremap" \
    UCX_RNDV_SCHEME=put_zcopy
two "no registration cache of ours" vmp_memory "-n 3" UCX_VMP_RCACHE=n
two "always rendezvous" vmp_memory "-n 6 -m 131072" UCX_RNDV_THRESH=0
two "what is not there" vmp_memory "-n 1 -m 65536 -I" "$no_proto"
lab_end
