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
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>


/**
 * The helper thread: one a process, there while any port is started. It sleeps
 * in epoll and serves control datagrams, device events and timers of all
 * started ports, one turn after the other.
 *
 * A turn runs under `lock`; who starts or stops a port takes it too, and so
 * knows that the helper is out of every ctl. The data path never takes it. A
 * turn may last a second, when the kernel looks for a peer's MAC address.
 *
 * After a fork the child has no helper, and all that was opened before belongs
 * to the parent (see vmp_verbs_fork_gen): the child can close it, which does
 * nothing, and can open devices of its own.
 */

#define VMP_HELPER_EVENTS  16

typedef enum vmp_helper_kind {
    VMP_HELPER_SELF,                /**< The helper's own event fd */
    VMP_HELPER_WAKE,                /**< A port's event fd */
    VMP_HELPER_UD,                  /**< A rail's control channel */
    VMP_HELPER_DEV                  /**< A device's async events */
} vmp_helper_kind_t;


static struct {
    pthread_mutex_t setup;          /**< One start or stop at a time */
    pthread_mutex_t turnstile;      /**< Makes `lock` fair: see below */
    pthread_mutex_t lock;
    vmp_port_t      *ports;         /**< Started ones */
    vmp_verbs_dev_t *devs;          /**< Their devices */
    uint32_t        last_id;
    int             is_running;
    int             is_stopping;
    int             epoll_fd;
    int             self_fd;
    pthread_t       thread;
} vmp_helper = {
    .setup     = PTHREAD_MUTEX_INITIALIZER,
    .turnstile = PTHREAD_MUTEX_INITIALIZER,
    .lock      = PTHREAD_MUTEX_INITIALIZER,
    .epoll_fd  = -1,
    .self_fd   = -1
};


/** Whoever waits for the lock stands in the turnstile, where the helper, if it
 *  is busy, has to queue up behind. */
static void vmp_helper_lock(void)
{
    pthread_mutex_lock(&vmp_helper.turnstile);
    pthread_mutex_lock(&vmp_helper.lock);
    pthread_mutex_unlock(&vmp_helper.turnstile);
}

static void vmp_helper_unlock(void)
{
    pthread_mutex_unlock(&vmp_helper.lock);
}

/** What epoll returns names objects by number, not by address: an event may be
 *  older than the end of what it is about. */
static uint64_t vmp_helper_key(vmp_helper_kind_t kind, unsigned rail,
                               uint32_t id)
{
    return ((uint64_t)kind << 56) | ((uint64_t)rail << 48) | id;
}

static int vmp_helper_watch(int fd, uint64_t key)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };

    return epoll_ctl(vmp_helper.epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void vmp_helper_unwatch(int fd)
{
    struct epoll_event event = { 0 };

    (void)epoll_ctl(vmp_helper.epoll_fd, EPOLL_CTL_DEL, fd, &event);
}

static void vmp_helper_drain_fd(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) != sizeof(count)) {
        vmp_trace("event fd was empty");
    }
}

static vmp_port_t *vmp_helper_find_port(uint32_t id)
{
    vmp_port_t *port = vmp_helper.ports;

    while ((port != NULL) && (port->id != id)) {
        port = port->next;
    }
    return port;
}

static void vmp_helper_dev_event(uint32_t id)
{
    vmp_verbs_dev_t *dev = vmp_helper.devs;

    while ((dev != NULL) && (dev->id != id)) {
        dev = dev->next;
    }

    if ((dev != NULL) && (vmp_verbs_async_events(dev, vmp_helper.ports) != 0)) {
        vmp_helper_unwatch(dev->ctx->async_fd);
    }
}

static void vmp_helper_event(uint64_t key)
{
    vmp_helper_kind_t kind = (vmp_helper_kind_t)(key >> 56);
    unsigned rail          = (key >> 48) & 0xff;
    uint32_t id            = (uint32_t)key;
    vmp_port_t *port;

    if (kind == VMP_HELPER_SELF) {
        vmp_helper_drain_fd(vmp_helper.self_fd);
        return;
    }

    if (kind == VMP_HELPER_DEV) {
        vmp_helper_dev_event(id);
        return;
    }

    port = vmp_helper_find_port(id);
    if (port == NULL) {
        return;
    }

    if (kind == VMP_HELPER_WAKE) {
        vmp_helper_drain_fd(port->wake_fd);
        port->is_touched = 1;
    } else if (vmp_verbs_ud_channel_event(&port->rails[rail]) != 0) {
        vmp_helper_unwatch(port->rails[rail].ud.channel->fd);
    }
}

/** Datagrams, repairs and timers of a port. */
static void vmp_helper_serve(vmp_port_t *port)
{
    uint64_t now;
    unsigned i;

    for (i = 0; i < port->num_rails; ++i) {
        if (port->rails[i].ud.rx_ready &&
            (vmp_verbs_ud_poll_rx(port, i) > 0)) {
            port->is_touched = 1;
        }
        vmp_verbs_ud_repair(port, i, vmp_verbs_now());
    }

    now = vmp_verbs_now();
    if (port->is_touched || (now >= port->deadline)) {
        port->is_touched = 0;
        port->deadline   = vmp_ctl_progress(port->ctl, now);
    }
}

/** Milliseconds to sleep; -1: until something happens. */
static int vmp_helper_timeout(void)
{
    uint64_t deadline = UINT64_MAX;
    const vmp_verbs_ud_t *ud;
    const vmp_port_t *port;
    uint64_t now, delta;
    unsigned i;

    for (port = vmp_helper.ports; port != NULL; port = port->next) {
        if (port->deadline < deadline) {
            deadline = port->deadline;
        }

        for (i = 0; i < port->num_rails; ++i) {
            ud = &port->rails[i].ud;
            if (ud->rx_ready) {
                return 0;
            }
            if ((ud->broken != 0) && (ud->repair_at < deadline)) {
                deadline = ud->repair_at;
            }
        }
    }

    if (deadline == UINT64_MAX) {
        return -1;
    }

    /* Round up, and never spin */
    now   = vmp_verbs_now();
    delta = (deadline > now) ? (deadline - now) : 0;
    if (delta > (60000 * VMP_NSEC_PER_MSEC)) {
        return 60000;
    }
    return (int)(delta / VMP_NSEC_PER_MSEC) + 1;
}

static void *vmp_helper_main(void *arg)
{
    struct epoll_event events[VMP_HELPER_EVENTS];
    vmp_port_t *port;
    int timeout = 0;
    int i, num;

    (void)arg;
    for (;;) {
        num = epoll_wait(vmp_helper.epoll_fd, events, VMP_HELPER_EVENTS,
                         timeout);

        vmp_helper_lock();
        if (vmp_helper.is_stopping) {
            vmp_helper_unlock();
            return NULL;
        }

        for (i = 0; i < num; ++i) {
            vmp_helper_event(events[i].data.u64);
        }
        for (port = vmp_helper.ports; port != NULL; port = port->next) {
            vmp_helper_serve(port);
        }
        timeout = vmp_helper_timeout();
        vmp_helper_unlock();
    }
}

static void vmp_helper_close_fds(void)
{
    if (vmp_helper.self_fd >= 0) {
        close(vmp_helper.self_fd);
        vmp_helper.self_fd = -1;
    }
    if (vmp_helper.epoll_fd >= 0) {
        close(vmp_helper.epoll_fd);
        vmp_helper.epoll_fd = -1;
    }
}

static int vmp_helper_create_thread(void)
{
    sigset_t mask, saved;
    int ret;

    /* The application's signals are not for us; only what the thread does
     * itself has to reach the handlers that report it */
    sigfillset(&mask);
    sigdelset(&mask, SIGSEGV);
    sigdelset(&mask, SIGBUS);
    sigdelset(&mask, SIGFPE);
    sigdelset(&mask, SIGILL);
    pthread_sigmask(SIG_SETMASK, &mask, &saved);
    ret = pthread_create(&vmp_helper.thread, NULL, vmp_helper_main, NULL);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    if (ret == 0) {
        (void)pthread_setname_np(vmp_helper.thread, "vmp-helper");
    }
    return ret;
}

/** Under `setup`. */
static vmp_status_t vmp_helper_run(void)
{
    int ret;

    if (vmp_helper.is_running) {
        return VMP_OK;
    }

    vmp_helper.is_stopping = 0;
    vmp_helper.epoll_fd    = epoll_create1(EPOLL_CLOEXEC);
    vmp_helper.self_fd     = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if ((vmp_helper.epoll_fd < 0) || (vmp_helper.self_fd < 0) ||
        (vmp_helper_watch(vmp_helper.self_fd,
                          vmp_helper_key(VMP_HELPER_SELF, 0, 0)) != 0)) {
        vmp_error("helper thread: cannot make its event fds: %s (too many open "
                  "files? ulimit -n)", strerror(errno));
        goto err;
    }

    ret = vmp_helper_create_thread();
    if (ret != 0) {
        vmp_error("helper thread: cannot start: %s (too many threads? ulimit "
                  "-u, or the pids limit of the container)", strerror(ret));
        goto err;
    }

    vmp_helper.is_running = 1;
    return VMP_OK;

err:
    vmp_helper_close_fds();
    return VMP_ERR_NO_RESOURCE;
}

/** Under `setup`: end the thread if no port needs it. */
static void vmp_helper_end_if_idle(void)
{
    static const uint64_t one = 1;

    if (!vmp_helper.is_running || (vmp_helper.ports != NULL)) {
        return;
    }

    vmp_helper_lock();
    vmp_helper.is_stopping = 1;
    vmp_helper_unlock();
    if (write(vmp_helper.self_fd, &one, sizeof(one)) != sizeof(one)) {
        vmp_trace("helper is awake");
    }

    (void)pthread_join(vmp_helper.thread, NULL);
    vmp_helper.is_running = 0;
    vmp_helper_close_fds();
}

/** Under `lock`. Return 0 or errno. */
static int vmp_helper_add_dev(vmp_verbs_dev_t *dev)
{
    if (dev->num_started++ > 0) {
        return 0;
    }

    dev->id         = ++vmp_helper.last_id;
    dev->next       = vmp_helper.devs;
    vmp_helper.devs = dev;
    return (vmp_helper_watch(dev->ctx->async_fd,
                             vmp_helper_key(VMP_HELPER_DEV, 0, dev->id)) ==
            0) ? 0 : errno;
}

static void vmp_helper_remove_dev(vmp_verbs_dev_t *dev)
{
    vmp_verbs_dev_t **prev = &vmp_helper.devs;

    if (--dev->num_started > 0) {
        return;
    }

    vmp_helper_unwatch(dev->ctx->async_fd);
    while (*prev != dev) {
        prev = &(*prev)->next;
    }
    *prev = dev->next;
}

/** Under `lock`. Return 0 or errno; vmp_helper_remove() undoes also a half. */
static int vmp_helper_add(vmp_port_t *port, vmp_ctl_t *ctl)
{
    int err = 0;
    unsigned i;
    int ret;

    port->id         = ++vmp_helper.last_id;
    port->ctl        = ctl;
    port->deadline   = 0;
    port->is_touched = 1;
    port->next       = vmp_helper.ports;
    vmp_helper.ports = port;

    for (i = 0; i < port->num_rails; ++i) {
        ret = vmp_helper_add_dev(port->rails[i].dev);
        err = (ret != 0) ? ret : err;
        if (vmp_helper_watch(port->rails[i].ud.channel->fd,
                             vmp_helper_key(VMP_HELPER_UD, i, port->id)) != 0) {
            err = errno;
        }
        port->rails[i].ud.rx_ready = 1;
    }

    if (vmp_helper_watch(port->wake_fd,
                         vmp_helper_key(VMP_HELPER_WAKE, 0, port->id)) != 0) {
        err = errno;
    }
    return err;
}

static void vmp_helper_remove(vmp_port_t *port)
{
    vmp_port_t **prev = &vmp_helper.ports;
    unsigned i;

    vmp_helper_unwatch(port->wake_fd);
    for (i = 0; i < port->num_rails; ++i) {
        vmp_helper_unwatch(port->rails[i].ud.channel->fd);
        vmp_helper_remove_dev(port->rails[i].dev);
    }

    while (*prev != port) {
        prev = &(*prev)->next;
    }
    *prev     = port->next;
    port->ctl = NULL;
}

vmp_status_t vmp_port_start(vmp_port_t *port, struct vmp_ctl *ctl)
{
    vmp_status_t status;
    int err;

    if (port->fork_gen != vmp_verbs_fork_gen) {
        vmp_error("%s: opened before a fork, by the parent: open it again",
                  port->rails[0].name);
        return VMP_ERR_INVALID_PARAM;
    }

    pthread_mutex_lock(&vmp_helper.setup);
    status = vmp_helper_run();
    if (status != VMP_OK) {
        goto out;
    }

    vmp_helper_lock();
    err = vmp_helper_add(port, ctl);
    if (err != 0) {
        vmp_error("%s: the helper thread cannot watch the device: %s",
                  port->rails[0].name, strerror(err));
        vmp_helper_remove(port);
        status = VMP_ERR_NO_RESOURCE;
    }
    vmp_helper_unlock();

    if (status == VMP_OK) {
        vmp_port_wake(port);
    } else {
        vmp_helper_end_if_idle();
    }

out:
    pthread_mutex_unlock(&vmp_helper.setup);
    return status;
}

void vmp_port_stop(vmp_port_t *port)
{
    if (port->fork_gen != vmp_verbs_fork_gen) {
        return; /* the helper is the parent's */
    }

    pthread_mutex_lock(&vmp_helper.setup);
    if (port->ctl != NULL) {
        vmp_helper_lock();
        vmp_helper_remove(port);
        vmp_helper_unlock();
        vmp_helper_end_if_idle();
    }
    pthread_mutex_unlock(&vmp_helper.setup);
}

void vmp_verbs_helper_forked(void)
{
    /* The thread and whoever held a lock are not in the child. The epoll set is
     * shared with the parent: do not change it, only let go. */
    (void)pthread_mutex_init(&vmp_helper.setup, NULL);
    (void)pthread_mutex_init(&vmp_helper.turnstile, NULL);
    (void)pthread_mutex_init(&vmp_helper.lock, NULL);
    vmp_helper.ports      = NULL;
    vmp_helper.devs       = NULL;
    vmp_helper.is_running = 0;
    vmp_helper_close_fds();
}
