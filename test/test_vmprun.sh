#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Every rule of vmprun(1), with a made-up /sys. The real mpiruns, if they are
# installed, start ranks on a "remote host" through an agent that is a local
# shell with a clean environment.

# $VARIABLES in single quotes are for the shells that vmprun runs
# shellcheck disable=SC2016

set -eu

errors=0

fail() {
    echo "FAIL: $1"
    errors=$((errors + 1))
}

# is NAME WANTED FOUND
is() {
    [ "$2" = "$3" ] || fail "$1: '$3', wanted '$2'"
}

# vmprun in a clean environment, with or without a device; NAME=VALUE... first
with_device() {
    env -i PATH="$PATH" HOME="$dir" VMPRUN_SYSFS="$dir/sys" \
        VMPRUN_SHIM="$shim" "$@"
}

without_device() {
    with_device VMPRUN_SYSFS="$dir/nosys" "$@"
}

test_options() {
    with_device "$vmprun" --help | grep -q '^Usage: vmprun' || fail "--help"
    with_device "$vmprun" --version | grep -Eq '^vmprun .* [0-9.]+, for UCX' ||
        fail "--version"
    rc=0
    with_device "$vmprun" 2>/dev/null || rc=$?
    is "no command" 2 "$rc"
    rc=0
    with_device "$vmprun" --wrong true 2>"$dir/err" || rc=$?
    is "an unknown option" 2 "$rc"
    grep -q -- --wrong "$dir/err" || fail "it does not say which option"
    rc=0
    with_device "$vmprun" sh -c 'exit 7' || rc=$?
    is "the command's exit code" 7 "$rc"
    rc=0
    with_device "$vmprun" "$dir/nothing" 2>/dev/null || rc=$?
    is "no such command" 127 "$rc"
    is "arguments" "a b|c*|-d|" \
        "$(with_device "$vmprun" printf '%s|' 'a b' 'c*' -d)"
    is "after --" "x" "$(with_device "$vmprun" -- echo x)"
}

test_sets() {
    is UCX_TLS vmp,sm,self "$(with_device "$vmprun" sh -c 'echo $UCX_TLS')"
    is LD_PRELOAD "$shim" "$(with_device "$vmprun" sh -c 'echo $LD_PRELOAD')"
    is "Open MPI" "ucx ucx any any" "$(with_device "$vmprun" sh -c '
        echo $OMPI_MCA_pml $OMPI_MCA_osc $OMPI_MCA_opal_common_ucx_tls \
             $OMPI_MCA_opal_common_ucx_devices')"
}

test_overrides_nothing() {
    for name in UCX_TLS OMPI_MCA_pml OMPI_MCA_osc OMPI_MCA_opal_common_ucx_tls \
        OMPI_MCA_opal_common_ucx_devices OMPI_MCA_orte_launch_agent \
        PRTE_MCA_prte_launch_agent; do
        is "$name is set" mine \
            "$(with_device "$name=mine" "$vmprun" sh -c "echo \$$name")"
        is "$name is set but empty" '[]' \
            "$(with_device "$name=" "$vmprun" sh -c "echo \"[\$$name]\"")"
    done
    other=$(ldd /bin/sh | sed -n 's/.*=> \(\/[^ ]*libc\.so[^ ]*\).*/\1/p')
    is "LD_PRELOAD is prepended to" "$shim:$other" \
        "$(with_device LD_PRELOAD="$other" "$vmprun" sh -c 'echo $LD_PRELOAD')"
    is "vmprun in vmprun" "$shim" \
        "$(with_device "$vmprun" "$vmprun" sh -c 'echo $LD_PRELOAD')"
    is "--set" "1:2 old" "$(with_device B=old "$vmprun" --set A:1:2 \
        --set B:new sh -c 'echo $A $B')"
    for wrong in A '1A:2' 'A-B:c' ':x'; do
        ! with_device "$vmprun" --set "$wrong" true 2>/dev/null ||
            fail "--set $wrong is accepted"
    done
}

test_without_device() {
    is "no device: the environment" "$(without_device sh -c env | sort)" \
        "$(without_device "$vmprun" env | sort)"
    is "no device: --print-env" "" "$(without_device "$vmprun" --print-env)"
    mkdir -p "$dir/nosys/class/infiniband"
    is "no device: an empty directory" "" \
        "$(without_device "$vmprun" --print-env)"
    is "no device: no shim needed" "ok" \
        "$(without_device VMPRUN_SHIM=/nowhere "$vmprun" echo ok)"
}

test_print_env() {
    with_device UCX_TLS="a'b" "$vmprun" --print-env >"$dir/env" 2>/dev/null
    ! grep -q UCX_TLS= "$dir/env" || fail "--print-env: UCX_TLS was set"
    is "--print-env, evaluated" "$shim ucx" \
        "$(with_device sh -c "$(cat "$dir/env")
            echo \$LD_PRELOAD \$OMPI_MCA_pml")"
    is "--print-env twice" "" "$(with_device sh -c '
        eval "$('"$vmprun"' --print-env)"
        '"$vmprun"' --print-env')"
}

test_shim_missing() {
    rc=0
    with_device VMPRUN_SHIM="$dir/no.so" "$dir/alone/bin/vmprun" true \
        2>"$dir/err" || rc=$?
    is "no shim: exit code" 1 "$rc"
    grep -q "is missing" "$dir/err" || fail "no shim: it does not say so"
    is "no shim: lines" 1 "$(wc -l <"$dir/err")"
    # A tree that was moved: the shim is found from where vmprun is
    mkdir -p "$dir/moved/bin" "$dir/moved/lib"
    cp "$vmprun" "$dir/moved/bin/"
    cp "$shim" "$dir/moved/lib/"
    is "a moved tree" "$dir/moved/lib/libvmp-preload.so" \
        "$(with_device VMPRUN_SHIM=/nowhere PATH="$dir/moved/bin:$PATH" \
            vmprun sh -c 'echo $LD_PRELOAD')"
    cp -r "$dir/moved" "$dir/a blank"
    ! with_device VMPRUN_SHIM=/nowhere "$dir/a blank/bin/vmprun" true \
        2>"$dir/err" || fail "a path with a blank is accepted"
}

test_agent() {
    is "the agent" "$vmprun --set UCX_VMP_NUM_PATHS:16 orted" \
        "$(with_device UCX_VMP_NUM_PATHS=16 UCX_BAD='a b;c' X='
UCX_NOT_SET=1' "$vmprun" sh -c 'echo $OMPI_MCA_orte_launch_agent')"
    is "the agent of PRRTE" "$vmprun --set UCX_TLS:vmp prted" \
        "$(with_device UCX_TLS=vmp "$vmprun" \
            sh -c 'echo $PRTE_MCA_prte_launch_agent')"
}

# What does not reach other hosts is said in one line, and only where it matters
test_agent_warns() {
    mkdir -p "$dir/mpi" "$dir/odd~path"
    printf '#!/bin/sh\necho ran\n' >"$dir/mpi/mpirun"
    chmod +x "$dir/mpi/mpirun"
    cp "$dir/mpi/mpirun" "$dir/mpi/mpirun.mpich"
    cp "$vmprun" "$dir/odd~path/"
    is "a setting is not passed on" ran "$(with_device UCX_BAD='a b' \
        UCX_GOOD=1 "$vmprun" "$dir/mpi/mpirun" 2>"$dir/err")"
    is "a setting is not passed on: lines" 1 "$(wc -l <"$dir/err")"
    grep -q ' -x UCX_BAD$' "$dir/err" || fail "it does not say which setting"
    is "a path is not passed on" ran "$(with_device \
        "$dir/odd~path/vmprun" "$dir/mpi/mpirun" 2>"$dir/err")"
    is "a path is not passed on: lines" 1 "$(wc -l <"$dir/err")"
    grep -q "$dir/odd~path/vmprun" "$dir/err" || fail "it does not say the path"
    cp -r "$dir/mpi" "$dir/moved dir"
    cp "$vmprun" "$dir/moved dir/"
    is "a path with a blank" ran "$(with_device \
        "$dir/moved dir/vmprun" "$dir/moved dir/mpirun" 2>"$dir/err")"
    is "a path with a blank: lines" 1 "$(wc -l <"$dir/err")"
    is "--print-env warns" 1 "$(with_device UCX_BAD='a b' "$vmprun" \
        --print-env 2>&1 >/dev/null | wc -l)"
    is "no other command warns" "" "$(with_device UCX_BAD='a b' "$vmprun" \
        true 2>&1)"
    is "MPICH passes on all" ran "$(with_device UCX_BAD='a b' "$vmprun" \
        "$dir/mpi/mpirun.mpich" 2>&1)"
    is "agents of the user" ran "$(with_device UCX_BAD='a b' \
        OMPI_MCA_orte_launch_agent=x PRTE_MCA_prte_launch_agent=x "$vmprun" \
        "$dir/mpi/mpirun" 2>&1)"
    is "nothing to say" ran "$(with_device UCX_GOOD=1 "$vmprun" \
        "$dir/mpi/mpirun" 2>&1)"
}

# mpi NAME COMMAND...: both ranks have our settings, one on the other host
mpi() {
    name=$1
    shift
    : >"$dir/ranks"
    timeout 60 env -i PATH="$PATH" HOME="$dir" VMPRUN_SYSFS="$dir/sys" \
        VMPRUN_SHIM="$shim" OMPI_ALLOW_RUN_AS_ROOT=1 \
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_ALLOW_RUN_AS_ROOT=1 \
        PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm_rsh_agent="$dir/agent" \
        PRTE_MCA_plm_ssh_agent="$dir/agent" "$@" </dev/null >"$dir/log" 2>&1 ||
        fail "$name: exit status $?: $(cat "$dir/log")"
    is "$name" "r0 here $shim vmp,sm,self ucx 16
r1 remote $shim vmp,sm,self ucx 16" "$(sort "$dir/ranks")"
}

make_agent() {
    cat >"$dir/agent" <<END
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
shift
exec env -i PATH="\$PATH" HOME="$dir" VMPRUN_SYSFS="$dir/sys" \\
    VMPRUN_SHIM="$shim" WHERE=remote sh -c "\$*"
END
    cat >"$dir/rank" <<END
#!/bin/sh
echo "r\${OMPI_COMM_WORLD_RANK:-\$PMI_RANK}" "\${WHERE:-here}" "\$LD_PRELOAD" \\
    "\$UCX_TLS" "\$OMPI_MCA_pml" "\$UCX_VMP_NUM_PATHS" >>"$dir/ranks"
# Wait for the other rank (10 s): MPICH's mpirun dies of SIGPIPE if a rank ends
# before the other host has started its own
i=0
while [ "\$(wc -l <"$dir/ranks")" -lt 2 ] && [ \$((i += 1)) -lt 1000 ]; do
    sleep 0.01
done
END
    chmod +x "$dir/agent" "$dir/rank"
}

test_open_mpi() {
    local hosts spread
    command -v mpirun.openmpi >/dev/null || {
        echo "no mpirun.openmpi: not tried"
        return 0
    }
    hosts=$(hostname),other
    spread="-np 2 --host $hosts --map-by node:OVERSUBSCRIBE"
    case $(mpirun.openmpi --version | head -1) in
        *" 4."*) spread="-np 2 --host $hosts --map-by node --oversubscribe" ;;
    esac
    # shellcheck disable=SC2086
    mpi "vmprun mpirun of Open MPI" UCX_VMP_NUM_PATHS=16 "$vmprun" \
        mpirun.openmpi $spread "$dir/rank"
    # shellcheck disable=SC2086
    mpi "vmprun mpirun -x of Open MPI" "$vmprun" \
        mpirun.openmpi $spread -x UCX_VMP_NUM_PATHS=16 "$dir/rank"
    # shellcheck disable=SC2086
    mpi "mpirun vmprun of Open MPI" mpirun.openmpi $spread \
        -x UCX_VMP_NUM_PATHS=16 "$vmprun" "$dir/rank"
}

test_mpich() {
    local hosts
    command -v mpirun.mpich >/dev/null || {
        echo "no mpirun.mpich: not tried"
        return 0
    }
    hosts="-np 2 -launcher rsh -launcher-exec $dir/agent"
    # By number: the host's own name need not resolve, as in a container
    hosts="$hosts -localhost 127.0.0.1 -hosts 127.0.0.1,other"
    # shellcheck disable=SC2086
    mpi "vmprun mpirun of MPICH" UCX_VMP_NUM_PATHS=16 "$vmprun" \
        mpirun.mpich $hosts -ppn 1 "$dir/rank"
    # shellcheck disable=SC2086
    mpi "mpirun vmprun of MPICH" UCX_VMP_NUM_PATHS=16 mpirun.mpich $hosts \
        -ppn 1 "$vmprun" "$dir/rank"
}

[ "${VMP_SANITIZERS:-no}" = no ] || {
    echo "skipped: stock programs cannot preload a library with a sanitizer"
    exit 77
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/sys/class/infiniband/rxe0" "$dir/alone/bin" "$dir/lib"
vmprun=$VMP_BUILDDIR/src/preload/vmprun
cp "$vmprun" "$dir/alone/bin/"
cp "$VMP_SHIM" "$dir/lib/"
shim=$dir/lib/libvmp-preload.so

test_options
test_sets
test_overrides_nothing
test_without_device
test_print_env
test_shim_missing
test_agent
test_agent_warns
make_agent
test_open_mpi
test_mpich

[ "$errors" -eq 0 ] && echo "vmprun does what its man page says"
