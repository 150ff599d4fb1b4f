#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# The shim in front of the installed UCX and of programs without UCX. It needs
# no RDMA device: a module of our own making says that it was loaded.

set -eu

errors=0

fail() {
    echo "FAIL: $1"
    errors=$((errors + 1))
}

skip() {
    echo "skipped: $1"
    exit 77
}

# The fake module: prints a line, and needs UCX as the real one does
make_fake_module() {
    cat >"$dir/fake.c" <<'END'
#include <unistd.h>
extern char uct_component_register[] __attribute__((weak));
__attribute__((constructor)) static void fake_init(void)
{
    if (uct_component_register != 0) {
        (void)!write(2, "FAKE LOADED\n", 12);
    }
}
END
    ${CC:-cc} -shared -fPIC -o "$dir/ucx/libuct_vmp.so.0" \
        -Wl,-soname,libuct_vmp.so.0 "$dir/fake.c" \
        -Wl,--no-as-needed "${uct[0]}"
}

# run NAME COMMAND...: output in $out and $err, the exit code in $rc
run() {
    name=$1
    shift
    rc=0
    timeout 60 env -u VMP_MODULE LD_PRELOAD="$shim" "$@" >"$dir/out" \
        2>"$dir/err" || rc=$?
    out=$(cat "$dir/out")
    err=$(cat "$dir/err")
    [ "$rc" -lt 124 ] || fail "$name: exit code $rc: $err"
}

count() {
    grep -c "$1" "$dir/err" || true
}

test_no_ucx() {
    run "a shell" sh -c 'grep -c -e libuc -e libuct_vmp /proc/self/maps'
    [ "$out" = 0 ] || fail "a process without UCX got UCX: $out"
    [ -z "$err" ] || fail "a process without UCX prints: $err"
}

test_version() {
    run "ucx_info -v" ucx_info -v
    [ "$rc" -eq 0 ] || fail "ucx_info -v ended with $rc: $err"
    [ "$(count 'FAKE LOADED')" -le 1 ] || fail "the module was loaded twice"
}

test_loaded_once() {
    run "ucx_info -d" ucx_info -d
    [ "$rc" -eq 0 ] || fail "ucx_info -d ended with $rc: $err"
    [ "$(count 'FAKE LOADED')" -eq 1 ] ||
        fail "the module was loaded $(count 'FAKE LOADED') times: $err"
    # UCX's own modules are still there: what it lists has not changed
    diff <(ucx_info -d 2>/dev/null | grep -e Component -e Transport) \
        <(grep -e Component -e Transport "$dir/out") ||
        fail "ucx_info -d lists other transports with the shim"
}

test_missing() {
    run "no module" VMP_MODULE="$dir/nowhere.so" ucx_info -d
    [ "$rc" -eq 0 ] || fail "without the module ucx_info ended with $rc"
    [ "$(count '^vmp: ')/$(wc -l <"$dir/err")" = 1/1 ] ||
        fail "a missing module should be one line, not: $err"
    grep -q "nowhere.so.*UCX goes on without vmp" "$dir/err" ||
        fail "the line does not say what is missing: $err"
}

test_damaged() {
    echo "no library" >"$dir/damaged.so"
    run "a damaged module" VMP_MODULE="$dir/damaged.so" ucx_info -d
    [ "$rc" -eq 0 ] || fail "with a damaged module ucx_info ended with $rc"
    [ "$(count '^vmp: .*damaged.so')" -eq 1 ] ||
        fail "a damaged module should be one line, not: $err"
}

# UCX may come late and out of sight, as from Python or a plug-in
test_local_and_threads() {
    cat >"$dir/late.c" <<'END'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
static int (*query)(void ***, unsigned *);
static void (*release)(void **);
static int bad;
static void *run(void *arg)
{
    void **list;
    unsigned count;
    if ((query(&list, &count) != 0) || (count < 2)) {
        bad = 1;
    } else {
        release(list);
    }
    return arg;
}
int main(void)
{
    void *uct = dlopen("libuct.so.0", RTLD_NOW | RTLD_LOCAL);
    pthread_t thread[8];
    int i;
    if (uct == NULL) {
        printf("%s\n", dlerror());
        return 1;
    }
    *(void **)&query   = dlsym(uct, "uct_query_components");
    *(void **)&release = dlsym(uct, "uct_release_component_list");
    for (i = 0; i < 8; ++i) {
        pthread_create(&thread[i], NULL, run, NULL);
    }
    for (i = 0; i < 8; ++i) {
        pthread_join(thread[i], NULL);
    }
    return bad;
}
END
    ${CC:-cc} -o "$dir/late" "$dir/late.c" -ldl -lpthread
    run "UCX loaded late" "$dir/late"
    [ "$rc" -eq 0 ] || fail "UCX loaded late: exit code $rc: $out $err"
    [ "$(count 'FAKE LOADED')" -eq 1 ] ||
        fail "UCX loaded late, with RTLD_LOCAL: $(count 'FAKE LOADED') loads"
}

# The module that was built: it may list devices or not, but does no harm
test_real_module() {
    run "the real module" VMP_MODULE="$VMP_MODULE" ucx_info -d
    [ "$rc" -eq 0 ] || fail "with our module ucx_info -d ended with $rc: $err"
    [ -n "$(ls /sys/class/infiniband 2>/dev/null)" ] ||
        diff <(ucx_info -d 2>&1 | grep -e Component -e Transport) \
            <(grep -e Component -e Transport "$dir/out") ||
        fail "without an RDMA device the list should be as before"
    ! grep -q '^vmp: ' "$dir/err" || fail "the shim complains: $err"
    ! grep -h 'vmp is not used' "$dir/out" "$dir/err" ||
        fail "our module refuses the UCX that it was built for"
}

[ -z "${VMP_SANITIZERS:-}" ] || [ "$VMP_SANITIZERS" = no ] ||
    skip "stock programs cannot preload a library with a sanitizer"
command -v ucx_info >/dev/null || skip "no ucx_info: apt-get install ucx-utils"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/ucx"
# A copy: the module is to be found beside the shim
cp "$VMP_SHIM" "$dir/"
shim=$dir/libvmp-preload.so
mapfile -t uct < <(ldd "$(command -v ucx_info)" |
    sed -n 's/.*libuct.so.0 => \([^ ]*\).*/\1/p')
[ "${#uct[@]}" -eq 1 ] || skip "ucx_info does not use libuct.so.0"

make_fake_module
test_no_ucx
test_version
test_loaded_once
test_missing
test_damaged
test_local_and_threads
test_real_module

[ "$errors" -eq 0 ] && echo "the shim does what it should"
