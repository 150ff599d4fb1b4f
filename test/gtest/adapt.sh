#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# Adapts a source tree of UCX: its tests shall run over vmp, and on hosts that
# are slow. adapt.sh UCX_SOURCE_DIR

set -eu

gtest=$1/test/gtest

# edit FILE SED_SCRIPT: a script that changes nothing is an error
edit()
{
    local file=$gtest/$1 before

    before=$(cksum <"$file")
    sed -i "$2" "$file"
    if [ "$before" = "$(cksum <"$file")" ]; then
        echo "adapt.sh: $1 is not what it was: $2" >&2
        exit 1
    fi
}

# The lists of transports
for header in uct/uct_test.h ucp/ucp_test.h; do
    edit "$header" '$a #include "../../../vmp/vmp_tls.h"'
done
edit uct/test_md.cc 's/^\( *\)ib, \\$/\1ib, vmp, tcp, \\/'
edit ucp/test_ucp_sockaddr.cc \
    's/define \(UCP_INSTANTIATE_[A-Z]*_TEST_CASE\)/define UNUSED_\1/'

# Three of these are made for all transports at once; two of them name others by
# TLS= besides. The third one takes self and shm away from one of two sides.
edit ucp/test_ucp_sockaddr.cc \
    's/"TLS=rc",//
    s/"TLS=ud,rc,sm\(,tcp\)*",//
    s/TEST_CASE_TLS(\(test_ucp_sockaddr_cm_[a-z_]*\), all, "all")/TEST_CASE(\1)/
    s/\(.*_TLS(test_ucp_sockaddr_different_tl_rsc\), all, "all")/\
\1, vmp, "vmp,self,shm")\
\1, rc, "rc_v,self,shm")\
\1, tcp, "tcp,self,shm")/'

# Tests made for all transports at once would take whichever is the fastest, and
# never ours
sed -i -E 's/^(UCP_INSTANTIATE_TEST_CASE)_TLS\((\w+), all, "all"\)/\1(\2)/' \
    "$gtest"/ucp/*.cc

# Tests made for one other transport that hold for ours; not all are in 1.13
sed -i -E '/INSTANTIATE_TEST_CASE_TLS\((test_ucp_rma_order|multi_rail_max|'\
'test_proto_reset_atp),/s/, .*\)/, vmp, "vmp")/' "$gtest"/ucp/*.cc

# The two tests that send right after the endpoint's creation without trying
# again: vmp has no room until the peer has answered, which the interface allows
edit uct/test_p2p_am.cc \
    's/ucs_status_t status = \((this->\*send_f)(sender_ep(), sendbuf, sendbuf)\);/ucs_status_t status;\
        do {\
            progress();\
            status = \1;\
        } while (status == UCS_ERR_NO_RESOURCE);/'

edit uct/test_pending.cc \
    '/UCS_TEST_SKIP_COND_P(test_uct_pending, send_ooo_with_comp,/,/^}/{
        s/ucs_status_t status = uct_ep_am_zcopy/ucs_status_t status;\
    do {\
        progress();\
        status = uct_ep_am_zcopy/
        s/&comp.uct);/&\
    } while (status == UCS_ERR_NO_RESOURCE);/
    }'

# How much longer than natively all takes. UCX's tests wait longer then, and
# make fewer rounds; but they shall not send zeroes instead of random data.
edit common/test_helpers.cc \
    's/int factor = 1;/const char *vmp = getenv("GTEST_TIME_MULTIPLIER");\
    int factor = (vmp == NULL) ? 1 : atoi(vmp);/'
edit common/test_helpers.cc \
    's/if (ucs::test_time_multiplier() > 1)/if (RUNNING_ON_VALGRIND)/'

# What is left: each test of another transport has its reason in the table
others=$(grep -hE '^_?UC[TP]_INSTANTIATE\w*\(\w+,' \
              "$gtest"/uc[tp]/*.cc "$gtest"/uct/v2/*.cc |
         sed -nE 's/^_?UC[TP]_INSTANTIATE\w*\((\w+), *(\w+).*/\1 \2/p' |
         awk '{ all[$1] } $2 == "vmp" { ours[$1] }
              END { for (name in all) if (!(name in ours)) print name }' |
         sort)
for name in $others; do
    if grep -qE "^(UC[TP]_INSTANTIATE\w*)\($name\)" "$gtest"/uc[tp]/*.cc; then
        continue
    fi
    if ! grep -q "^$name *|" "${0%/*}/other_transports"; then
        echo "adapt.sh: $name is not run over vmp: say why in" \
            "test/gtest/other_transports" >&2
        exit 1
    fi
done
