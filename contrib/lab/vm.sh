#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# The hosts: one QEMU each. KVM where one works, else emulation.

# Emulated string operations without these flags are quicker
LAB_CPU=max,erms=off,fsrm=off,la57=off

# A process is named by number and start time: numbers are used again. Nothing
# is printed for one that has ended, even if nobody has asked for its exit code.
lab_process_start()
{
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 !~ /[ZX]/ {print $20}'
}

lab_process_save()
{
    echo "$1 $(lab_process_start "$1")" >"$2"
}

# Prints the number of the process in a file if that very one still runs
lab_process_alive()
{
    local pid start

    read -r pid start 2>/dev/null <"$1" || return 1
    [ -n "$start" ] && [ "$(lab_process_start "$pid")" = "$start" ] || return 1
    echo "$pid"
}

# Ends the processes of all files given: asked first, then made to
lab_process_stop()
{
    local file pid end=$((SECONDS + 5))

    for file in "$@"; do
        pid=$(lab_process_alive "$file") || continue
        kill "$pid" 2>/dev/null || true
    done
    for file in "$@"; do
        while pid=$(lab_process_alive "$file"); do
            [ $SECONDS -lt $end ] || kill -KILL "$pid" 2>/dev/null || true
            [ $SECONDS -lt $((end + 5)) ] ||
                { lab_warn "process $pid does not end"; break; }
            sleep 0.1
        done
    done
}

# Prints kvm or tcg. /dev/kvm says little: in a virtual machine it may be there
# and QEMU aborts, or its guest never starts. So the hosts' kernel is booted to
# its panic for want of a root, once a boot of this machine.
lab_accel()
{
    local known=$LAB_CACHE/accel key accel=tcg

    if [ -n "${VMPLAB_ACCEL:-}" ]; then
        echo "$VMPLAB_ACCEL"
        return 0
    fi
    if (exec 7<>/dev/kvm) 2>/dev/null; then
        key=$(cat /proc/sys/kernel/random/boot_id "$LAB_KERNEL/release" |
              paste -sd ' ')
        if ! grep -q "^$key " "$known" 2>/dev/null; then
            # In the background: bash runs no trap while it waits for a
            # foreground command
            timeout -k 1 20 qemu-system-x86_64 -nodefaults -no-user-config \
                -display none -no-reboot -M q35 -accel kvm \
                -cpu "$LAB_CPU" -m 512 -kernel "$LAB_KERNEL/vmlinux" \
                -append "quiet panic=-1 mitigations=off" </dev/null \
                >/dev/null 2>&1 8>&- 9>&- &
            ! wait $! || accel=kvm
            echo "$key $accel" >"$known"
            [ $accel = kvm ] ||
                lab_say "/dev/kvm does not run a guest: emulating"
        fi
        accel=$(sed -n "s/^$key //p" "$known")
    fi
    echo "$accel"
}

# lab_vm_start I HOSTS TREE ACCELERATOR
lab_vm_start()
{
    local i=$1 hosts=$2 tree=$3 accel=$4 mac name

    mac=$(printf '%02x' "$i")
    name=$(lab_host_name "$i")
    # The agent ends QEMU after its life, or together with itself
    setsid nice -n 5 "$LAB_RUN/vmplab-agent" vm --life "${VMPLAB_LIFE:-21600}" \
        --tap "$(lab_netns_path "$(lab_leaf_of "$i")"):data$i" \
        --tap "$(lab_netns_path "$LAB_MGMT"):mgmt$i" \
        -- qemu-system-x86_64 -name "vmplab-$name" -nodefaults \
        -no-user-config -display none -no-reboot \
        -serial "file:$LAB_RUN/console.$name" \
        -M q35 -accel "$accel" -cpu "$LAB_CPU" -smp 1 -m "${VMPLAB_MEM:-1280}" \
        -kernel "$LAB_KERNEL/vmlinux" -initrd "$LAB_RUN/initrd.img" \
        -virtfs "$(lab_vm_share root "$tree")" \
        -virtfs "$(lab_vm_share vmp "$LAB_VMP")" \
        -virtfs "$(lab_vm_share modules "$LAB_KERNEL/modules")" \
        -virtfs "$(lab_vm_share layers "$LAB_CACHE/layer")" \
        -netdev tap,id=data,fd=10 -netdev tap,id=mgmt,fd=11 \
        -device "virtio-net-pci,netdev=data,romfile=,mac=52:54:00:00:01:$mac" \
        -device "virtio-net-pci,netdev=mgmt,romfile=,mac=52:54:00:00:02:$mac" \
        -device virtio-rng-pci \
        -append "console=ttyS0 quiet panic=-1 mitigations=off \
vmplab.host=$i vmplab.hosts=$hosts" \
        </dev/null >"$LAB_RUN/qemu.$name" 2>&1 8>&- 9>&- &
    lab_process_save $! "$LAB_RUN/vm.$i"
}

lab_vm_share()
{
    # A comma ends an option's value unless doubled
    printf 'local,mount_tag=%s,path=%s,security_model=none,readonly=on,%s' \
           "$1" "${2//,/,,}" "multidevs=remap"
}

lab_vm_failed()
{
    local name

    name=$(lab_host_name "$1")
    cat "$LAB_RUN/qemu.$name" >&2
    tail -n 15 "$LAB_RUN/console.$name" >&2 || true
    lab_die "host $name $2"
}

# Until the agent answers, and the device is there
lab_vm_wait()
{
    local i=$1 end=$((SECONDS + ${VMPLAB_BOOT_TIMEOUT:-120}))

    while [ $SECONDS -lt $end ]; do
        lab_process_alive "$LAB_RUN/vm.$i" >/dev/null ||
            lab_vm_failed "$i" "has ended during its start"
        if lab_agent_exec "$i" -- true; then
            lab_agent_exec "$i" -- test -e /sys/class/infiniband/rxe0 ||
                lab_vm_failed "$i" "has no rxe0"
            return 0
        fi
    done
    lab_vm_failed "$i" "does not answer"
}

# lab_agent_exec I -- CMD...: for questions, so without input and errors. These
# are redirected here and not by callers: a trap would run redirected, too.
lab_agent_exec()
{
    local i=$1
    shift

    "$LAB_RUN/vmplab-agent" exec --netns "$(lab_netns_path "$LAB_MGMT")" \
        --address "10.77.$i.2" --connect 2 "$@" </dev/null 2>/dev/null
}
