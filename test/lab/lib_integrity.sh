#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Runs vmp_integrity on both hosts; source it after lib.sh.

integrity_port=14500
integrity_limit=130    # seconds for both sides; they say why 10 s before

# integrity WHAT OPTIONS SETTINGS: both lists of words
integrity()
{
    local what=$1 said out in

    integrity_port=$((integrity_port + 1))
    counters_reset
    # shellcheck disable=SC2086 # words
    if ! pair $integrity_limit $integrity_port \
              env "${TEST_ENV[@]}" $3 "${LAUNCH[@]}" \
              "$LIBEXEC/vmp_integrity" -p $integrity_port \
              -t $((integrity_limit - 10)) \
              -- \
              env "${TEST_ENV[@]}" $3 "${LAUNCH[@]}" \
              "$LIBEXEC/vmp_integrity" -p $integrity_port \
              -t $((integrity_limit - 10)) $2 b; then
        said=$(cat "$OUT/client" "$OUT/server")
        problem "$what: $(grep -a 'vmp_integrity: FAIL' <<<"$said" ||
                          echo 'does not run')" \
                "$(sed -n '/ peer /s/.*UCX  *[A-Z]*  *//p' <<<"$said" |
                   tail -n 8)"
        show "$OUT/client" "$OUT/server"
        return 0
    fi
    if ! grep -aq 'vmp_integrity: PASS' "$OUT/client" ||
       ! grep -aq 'vmp_integrity: PASS' "$OUT/server"; then
        problem "$what: no verdict"
        return 0
    fi
    read -r out in < <(sed -n \
        's/.*vmp_integrity: payload out \([0-9]*\) in \([0-9]*\).*/\1 \2/p' \
        "$OUT/client")
    assert_traffic "$what" "$out" "$in"
    assert_lanes "$what" "$OUT/client" "$OUT/server"
    say "$what: $(grep -ao 'PASS.*' "$OUT/client"), payload $out and $in bytes"
}
