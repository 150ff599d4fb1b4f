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
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>


/**
 * Wakeup: one epoll fd over the completion channels of the rails, an event fd
 * that the helper writes to, and a timer. Nothing here costs anything unless it
 * is armed: CQs raise no events without that.
 *
 * A device may raise an event only for completions that come after the request
 * (soft-RoCE does so). So the CQs are polled once more after it. What is found
 * waits in a stash, which the next poll takes first.
 */

static vmp_status_t vmp_verbs_wakeup_failed(const vmp_port_t *port,
                                            const char *what)
{
    vmp_error("%s: wakeup: cannot make %s: %s%s", port->rails[0].name, what,
              strerror(errno), ((errno == EMFILE) || (errno == ENFILE)) ?
              " (raise the limit of open files, ulimit -n)" : "");
    return VMP_ERR_NO_RESOURCE;
}

static int vmp_verbs_wakeup_watch(const vmp_verbs_wakeup_t *wakeup, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    return epoll_ctl(wakeup->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

struct ibv_comp_channel *vmp_verbs_channel_create(struct ibv_context *ctx)
{
    struct ibv_comp_channel *channel;
    int flags;

    channel = ibv_create_comp_channel(ctx);
    if (channel == NULL) {
        return NULL;
    }

    flags = fcntl(channel->fd, F_GETFL);
    if ((flags == -1) ||
        (fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
        (void)ibv_destroy_comp_channel(channel);
        return NULL;
    }
    return channel;
}

void vmp_verbs_wakeup_init(vmp_verbs_wakeup_t *wakeup)
{
    wakeup->epoll_fd  = -1;
    wakeup->signal_fd = -1;
    wakeup->timer_fd  = -1;
    wakeup->deadline  = UINT64_MAX;
    atomic_init(&wakeup->is_armed, 0);
}

vmp_status_t vmp_verbs_wakeup_open(vmp_port_t *port)
{
    vmp_verbs_wakeup_t *wakeup = &port->wakeup;
    unsigned i;

    wakeup->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (wakeup->epoll_fd < 0) {
        return vmp_verbs_wakeup_failed(port, "an epoll fd");
    }

    wakeup->signal_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if ((wakeup->signal_fd < 0) ||
        (vmp_verbs_wakeup_watch(wakeup, wakeup->signal_fd) != 0)) {
        return vmp_verbs_wakeup_failed(port, "an event fd");
    }

    wakeup->timer_fd = timerfd_create(CLOCK_MONOTONIC,
                                      TFD_NONBLOCK | TFD_CLOEXEC);
    if ((wakeup->timer_fd < 0) ||
        (vmp_verbs_wakeup_watch(wakeup, wakeup->timer_fd) != 0)) {
        return vmp_verbs_wakeup_failed(port, "a timer");
    }

    for (i = 0; i < port->num_rails; ++i) {
        if (vmp_verbs_wakeup_watch(wakeup, port->rails[i].channel->fd) != 0) {
            return vmp_verbs_wakeup_failed(port, "a completion channel");
        }
    }
    return VMP_OK;
}

void vmp_verbs_wakeup_close(vmp_verbs_wakeup_t *wakeup)
{
    int fds[] = { wakeup->timer_fd, wakeup->signal_fd, wakeup->epoll_fd };
    unsigned i;

    for (i = 0; i < sizeof(fds) / sizeof(fds[0]); ++i) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    vmp_verbs_wakeup_init(wakeup);
}

/** Take the events that were raised, and acknowledge them at once: destroying
 *  the CQ waits for that. Return 0, or -1: the channel is broken. */
static int vmp_verbs_wakeup_take(vmp_verbs_rail_t *rail)
{
    unsigned num_tx = 0, num_rx = 0;
    struct ibv_cq *cq;
    void *context;

    while (ibv_get_cq_event(rail->channel, &cq, &context) == 0) {
        if (cq == rail->tx_cq) {
            ++num_tx;
        } else {
            ++num_rx;
        }
    }

    if (num_tx > 0) {
        rail->notified &= ~VMP_PORT_EVENT_TX;
        ibv_ack_cq_events(rail->tx_cq, num_tx);
    }
    if (num_rx > 0) {
        rail->notified &= ~VMP_PORT_EVENT_RX;
        ibv_ack_cq_events(rail->rx_cq, num_rx);
    }
    return ((errno == EAGAIN) || (errno == EINTR)) ? 0 : -1;
}

/** Ask for an event of a CQ, and look for what came before. Return whether
 *  there is something. */
static int vmp_verbs_wakeup_cq(vmp_verbs_rail_t *rail, unsigned event)
{
    int is_tx                = (event == VMP_PORT_EVENT_TX);
    struct ibv_cq *cq        = is_tx ? rail->tx_cq : rail->rx_cq;
    vmp_verbs_stash_t *stash = &rail->stash[!is_tx];

    if (rail->stashed & event) {
        return 1;
    }

    if (!(rail->notified & event)) {
        if (ibv_req_notify_cq(cq, 0) != 0) {
            goto err;
        }
        rail->notified |= event;
    }

    stash->pos = 0;
    stash->num = vmp_verbs_poll_rail(rail, event, stash->wc,
                                     VMP_VERBS_STASH_MAX);
    if (stash->num > 0) {
        rail->stashed |= event;
    } else if ((stash->num < 0) && !rail->is_broken) {
        rail->is_broken = 1; /* the caller hears of it when it polls now */
        return 1;
    }
    return stash->num > 0;

err:
    if (!rail->is_deaf) {
        rail->is_deaf = 1;
        vmp_error("%s: the device does not raise events (%s): going on by "
                  "polling, which takes a whole core", rail->name,
                  strerror(errno));
    }
    return 1;
}

int vmp_verbs_poll_stash(vmp_verbs_rail_t *rail, unsigned event, vmp_wc_t *wc,
                         int max)
{
    vmp_verbs_stash_t *stash = &rail->stash[event != VMP_PORT_EVENT_TX];
    int num                  = stash->num - stash->pos;
    int more                 = 0;

    if (rail->stashed & VMP_VERBS_FORKED) {
        return 0;
    }

    if (num > max) {
        num = max;
    }

    memcpy(wc, &stash->wc[stash->pos], num * sizeof(*wc));
    stash->pos += num;
    if (stash->pos == stash->num) {
        rail->stashed &= ~event;
        /* Less than `max` is to mean that there is no more */
        more = vmp_verbs_poll_rail(rail, event, wc + num, max - num);
    }

    return num + ((more > 0) ? more : 0);
}

/** The timer is to go off at that time. */
static void vmp_verbs_wakeup_set_timer(vmp_verbs_wakeup_t *wakeup,
                                       uint64_t deadline)
{
    struct itimerspec spec = { 0 };

    if (deadline == wakeup->deadline) {
        return;
    }

    if (deadline != UINT64_MAX) {
        spec.it_value.tv_sec  = (time_t)(deadline / VMP_NSEC_PER_SEC);
        spec.it_value.tv_nsec = (long)(deadline % VMP_NSEC_PER_SEC);
    }

    wakeup->deadline = deadline;
    if (timerfd_settime(wakeup->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) !=
        0) {
        vmp_error("wakeup: cannot set the timer: %s", strerror(errno));
    }
}

int vmp_port_event_fd(vmp_port_t *port)
{
    return port->wakeup.epoll_fd;
}

vmp_status_t vmp_port_event_arm(vmp_port_t *port, unsigned events,
                                uint64_t deadline)
{
    vmp_verbs_wakeup_t *wakeup = &port->wakeup;
    int is_busy                = 0;
    vmp_verbs_rail_t *rail;
    uint64_t count;
    unsigned i;

    if (port->fork_gen != vmp_verbs_fork_gen) {
        return VMP_OK; /* the parent's: leave its descriptors alone */
    }

    /* The helper looks at the flag after it has queued an event, the caller at
     * the queue after this: one of them sees the other */
    atomic_store_explicit(&wakeup->is_armed, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (read(wakeup->signal_fd, &count, sizeof(count)) == sizeof(count)) {
        is_busy = 1;
    }

    for (i = 0; i < port->num_rails; ++i) {
        rail = &port->rails[i];
        if (vmp_verbs_wakeup_take(rail) != 0) {
            is_busy = 1;
        }
        if (events & VMP_PORT_EVENT_TX) {
            is_busy |= vmp_verbs_wakeup_cq(rail, VMP_PORT_EVENT_TX);
        }
        if (events & VMP_PORT_EVENT_RX) {
            is_busy |= vmp_verbs_wakeup_cq(rail, VMP_PORT_EVENT_RX);
        }
    }

    if ((deadline != UINT64_MAX) && (deadline <= vmp_verbs_now())) {
        is_busy = 1;
    }

    if (is_busy) {
        atomic_store_explicit(&wakeup->is_armed, 0, memory_order_relaxed);
        return VMP_ERR_BUSY;
    }

    vmp_verbs_wakeup_set_timer(wakeup, deadline);
    return VMP_OK;
}

void vmp_port_event_signal(vmp_port_t *port)
{
    static const uint64_t one = 1;

    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&port->wakeup.is_armed, memory_order_relaxed) ||
        (atomic_exchange(&port->wakeup.is_armed, 0) == 0)) {
        return;
    }

    if (write(port->wakeup.signal_fd, &one, sizeof(one)) != sizeof(one)) {
        vmp_trace("%s: the event fd is full", port->rails[0].name);
    }
}
