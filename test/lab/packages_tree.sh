#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1200
#
# The Debian packages: built for the suite with their tests, without complaint of
# lintian, installed and removed in a fresh tree of it.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_packages.sh
. "$LAB_TEST_DIR/lib_packages.sh"

# Runs in a copy of the suite's tree; $1 is the minor version of its UCX
tree_script()
{
    cat <<'END'
set -eu

files() {
    find / -xdev \( -path /work -o -path /tmp -o -path /root -o -path /run \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log \
        -o -path /var/cache \) -prune -o -print | LC_ALL=C sort
}

fail() {
    echo "FAIL: $*"
    exit 1
}

purge() {
    dpkg --purge ucx-vmp-dev ucx-vmp
}

files >/tmp/before
echo "== install"
dpkg -i ./*.deb
dpkg --audit
for file in bin/vmprun share/man/man1/vmprun.1.gz include/vmp/policy.h \
            share/doc/ucx-vmp/README.md.gz share/doc/ucx-vmp/copyright; do
    [ -s "/usr/$file" ] || fail "no /usr/$file"
done
for name in smoke policy; do
    echo "== debian/tests/$name"
    "tests/$name"
done
echo "== remove"
purge
files >/tmp/after
diff /tmp/before /tmp/after || fail "removal does not restore what was there"

echo "== install without UCX"
apt-get -q -o Acquire::Retries=3 update
apt-get -qy purge libucx0
! dpkg -i ./ucx-vmp_*.deb || fail "installed without UCX"
apt-get -qy --no-install-recommends -o Acquire::Retries=3 --fix-broken install
[ "$(dpkg-query -W -f '${Status}' ucx-vmp)" = "install ok installed" ] ||
    fail "apt does not mend it"
apt-get -qy --no-install-recommends -o Acquire::Retries=3 install \
    python3 ucx-utils
tests/smoke
tests/ctypes
purge
echo "tree: PASS"
END
}

# What lintian says to the source, to the packages, and of overrides
test_lintian()
{
    "$PACKAGING/in-suite" "$suite" --with lintian "$packages" \
        sh -c 'lintian --allow-root --show-overrides --fail-on error,warning \
               ./*.changes' >"$OUT/lintian" 2>&1 ||
        problem "lintian complains"
    if grep -qE '^[EWO]: ' "$OUT/lintian"; then
        problem "lintian: errors, warnings or overrides"
        show "$OUT/lintian"
    fi
}

test_tree()
{
    local work=$OUT/tree version depends next

    mkdir "$work"
    cp "$packages"/ucx-vmp_*.deb "$packages"/ucx-vmp-dev_*.deb "$work"
    cp -r "$PACKAGING/debian/tests" "$work/tests"
    tree_script >"$work/script"
    version=$(on a 30 /opt/vmp/bin/vmprun --version | sed 's/.*UCX //')
    next=${version%.*}.$((${version#*.} + 1))
    depends=$(dpkg-deb -f "$work"/ucx-vmp_*.deb Depends)
    [[ $depends == *"libucx0 (>= $version"*"libucx0 (<< $next~)"* ]] ||
        problem "the package is for UCX $version, but depends on $depends"
    "$PACKAGING/in-suite" "$suite" "$work" sh /work/script \
        >"$OUT/script" 2>&1 || {
        problem "installing or removing in a fresh tree"
        grep -E '^(==|FAIL)' "$OUT/script" || true
        show "$OUT/script"
    }
}

packages_start check
test_lintian
test_tree
lab_end
