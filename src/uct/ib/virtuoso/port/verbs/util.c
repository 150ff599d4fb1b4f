/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "verbs_port.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>


unsigned vmp_verbs_fork_gen = 0;

static pthread_once_t vmp_verbs_once = PTHREAD_ONCE_INIT;

/** All ports of this process, for who is forked off. */
static pthread_mutex_t vmp_verbs_ports_lock = PTHREAD_MUTEX_INITIALIZER;
static vmp_port_t      *vmp_verbs_ports     = NULL;


void vmp_verbs_ports_add(vmp_port_t *port)
{
    pthread_mutex_lock(&vmp_verbs_ports_lock);
    port->all_next  = vmp_verbs_ports;
    vmp_verbs_ports = port;
    pthread_mutex_unlock(&vmp_verbs_ports_lock);
}

void vmp_verbs_ports_remove(vmp_port_t *port)
{
    vmp_port_t **prev = &vmp_verbs_ports;

    pthread_mutex_lock(&vmp_verbs_ports_lock);
    while (*prev != port) {
        prev = &(*prev)->all_next;
    }
    *prev = port->all_next;
    pthread_mutex_unlock(&vmp_verbs_ports_lock);
}

/** In the child: the CQs are the parent's. */
static void vmp_verbs_ports_forked(void)
{
    vmp_port_t *port;
    unsigned i;

    /* Another thread may have held it at the fork */
    (void)pthread_mutex_init(&vmp_verbs_ports_lock, NULL);
    for (port = vmp_verbs_ports; port != NULL; port = port->all_next) {
        for (i = 0; i < port->num_rails; ++i) {
            port->rails[i].stashed |= VMP_VERBS_FORKED;
        }
    }
}

static void vmp_verbs_forked(void)
{
    ++vmp_verbs_fork_gen;
    vmp_verbs_devices_forked();
    vmp_verbs_ports_forked();
    vmp_verbs_helper_forked();
}

static void vmp_verbs_init(void)
{
    if (pthread_atfork(NULL, NULL, vmp_verbs_forked) != 0) {
        vmp_warn("no memory for a fork handler: forked children must not use "
                 "or close vmp");
    }

    /* Without it, a fork moves registered pages away from under the device on
     * kernels before 5.12. On later ones libibverbs (44) would still take all
     * registered pages away from children, and what else is on them. It may be
     * too late when another library registered memory already: then that one
     * decides. */
    if (ibv_is_fork_initialized() != IBV_FORK_UNNEEDED) {
        (void)ibv_fork_init();
    }
}

void vmp_verbs_init_once(void)
{
    (void)pthread_once(&vmp_verbs_once, vmp_verbs_init);
}

const char *vmp_verbs_hint(int err)
{
    switch (err) {
    case ENOMEM:
        return " (raise the limit of locked memory: ulimit -l unlimited, "
               "LimitMEMLOCK= of the service, --ulimit memlock=-1 of the "
               "container; or the device is out of resources)";
    case EPERM:
    case EACCES:
        return " (no permission: check /dev/infiniband/uverbs* and the limit "
               "of locked memory, ulimit -l)";
    case ENODEV:
    case EIO:
        return " (the device is gone or in reset: see dmesg)";
    case EFAULT:
        return " (the memory is not mapped, or not writable)";
    case EINVAL:
        return " (the device does not accept the parameters)";
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return " (no route or no answer from the peer's address: check the "
               "network behind the GID)";
    default:
        return "";
    }
}

uint64_t vmp_verbs_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ((uint64_t)ts.tv_sec * 1000000000ul) + (uint64_t)ts.tv_nsec;
}

uint64_t vmp_verbs_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}
