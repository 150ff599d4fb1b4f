#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 900
#
# Failover in a build with AddressSanitizer, which is put over /opt/vmp in both
# hosts: no memory is used that is not ours, and none of ours is lost.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"

# asan_mount: the build goes where packages for the hosts are, which these see
asan_mount()
{
    local suite from to host

    suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    say "building with AddressSanitizer"
    export VMPLAB_CONFIGURE_ARGS=--enable-sanitizers=address
    "$VMPLAB" prepare --suite "$suite" >"$OUT/build" 2>&1 || {
        show "$OUT/build"
        fail "the build with AddressSanitizer fails"
    }
    from=$("$VMPLAB" _installed "$suite")
    unset VMPLAB_CONFIGURE_ARGS
    to=${from%/build/*}/layer/asan-$suite
    mkdir -p "$to"
    cp -a "$from/." "$to"
    at_exit asan_umount
    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        layer_on $host "asan-$suite" '$mount -o bind "/run/layers/$1" /opt/vmp'
    done
}

# shellcheck disable=SC2317 # at exit
asan_umount()
{
    local host

    for host in a b; do
        on $host 30 sh -c '
            /usr/lib/vmplab/busybox umount -l /opt/vmp
            /usr/lib/vmplab/busybox umount -l /run/layers'
    done >"$OUT/mount" 2>&1 || show "$OUT/mount"
}

# reports FILE...: of the sanitizer, those of leaks with a line of our code only
reports()
{
    awk '/^==[0-9]+==ERROR: AddressSanitizer/ { error = 1 }
        error { print; next }
        /^(Direct|Indirect) leak/ { leak = 1; text = "" }
        leak { text = text $0 "\n" }
        leak && NF == 0 { if (text ~ /\/src\/uct\/ib\/virtuoso\//) printf text
                          leak = 0 }' "$@"
}

failover_start
asan_mount
# shellcheck disable=SC2034 # lib_integrity.sh uses it
integrity_limit=290
# UCX leaves memory of its own behind: the exit code says nothing
TEST_ENV+=(UCX_HANDLE_ERRORS=none LSAN_OPTIONS=exitcode=0
           ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=1:verbosity=1)
under_cuts "with AddressSanitizer" 150 "" "$quick UCX_VMP_NUM_PATHS=8"
for side in client server; do
    grep -aq 'AddressSanitizer Init done' "$OUT/$side" ||
        problem "AddressSanitizer is not there: $side"
done
reports "$OUT/client" "$OUT/server" >"$OUT/reports"
if [ -s "$OUT/reports" ]; then
    problem "AddressSanitizer: $(head -n 1 "$OUT/reports")"
    show "$OUT/reports"
fi
lab_end
