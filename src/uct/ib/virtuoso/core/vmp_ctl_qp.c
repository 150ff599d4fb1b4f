/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"
#include "core/vmp_entropy.h"

#include <stdlib.h>

#define LAST_TRIES  64              /* to repair a path that is the last one, soon */


void vmp_ctl_path_event(vmp_ctl_path_t *path, vmp_ev_type_t type)
{
    vmp_ev_t ev = {
        .path        = path->index,
        .rail        = path->rail,
        .remote_rail = path->remote_rail,
        .epoch       = path->epoch,
        .entropy     = path->entropy,
        .psn         = (type == VMP_EV_PATH_DEAD) ? path->peer_psn :
                                                    path->psn,
        .mtu         = path->mtu,
        .qp          = path->qp,
        .is_stuck    = path->is_stuck
    };

    vmp_ctl_ev_push(path->conn, type, &ev);
}

vmp_ctl_path_t *vmp_ctl_path_new(vmp_ctl_conn_t *conn, unsigned index,
                                 uint32_t epoch, uint32_t entropy,
                                 uint64_t now)
{
    vmp_ctl_t *ctl   = conn->ctl;
    unsigned num_evs = VMP_CTL_CONN_EVS + VMP_CTL_PATH_EVS;
    const vmp_ctl_path_t *dying;
    vmp_ctl_path_t *path;
    unsigned i;

    vmp_ctl_addr_refresh(ctl, index % ctl->attr.num_rails);
    conn->paths[index].epoch = epoch;

    for (i = 0; i < conn->num_paths; i++) {
        num_evs += (conn->paths[i].path != NULL) ? VMP_CTL_PATH_EVS : 0;
    }
    for (dying = conn->dying; dying != NULL; dying = dying->next) {
        num_evs += !dying->is_peer_down;
    }
    if (vmp_ctl_ev_reserve(conn, num_evs) < 0) {
        return NULL;
    }

    path = calloc(1, sizeof(*path));
    if (path == NULL) {
        return NULL;
    }

    path->conn          = conn;
    path->index         = index;
    path->epoch         = epoch;
    path->entropy       = entropy;
    path->time          = now;
    path->rail          = index % ctl->attr.num_rails;
    path->psn           = vmp_ctl_random(ctl) & VMP_PSN_MAX;
    path->mtu           = ctl->attr.path_mtu;
    path->max_rd_atomic = ctl->attr.max_rd_atomic;
    path->qp            = vmp_port_qp_create(ctl->params.port, path->rail);
    if (path->qp == NULL) {
        free(path);
        return NULL;
    }

    conn->paths[index].path = path;
    conn->paths[index].tries++;
    return path;
}

int vmp_ctl_path_connect(vmp_ctl_path_t *path, const vmp_ctl_msg_t *msg)
{
    vmp_port_qp_remote_t remote;

    if (msg->mtu < path->mtu) {
        path->mtu = msg->mtu;
    }
    if (msg->max_rd_atomic < path->max_rd_atomic) {
        path->max_rd_atomic = msg->max_rd_atomic;
    }
    path->remote_qpn  = msg->qpn;
    path->remote_psn  = msg->psn;
    path->remote_rail = msg->rail_index;

    remote.addr          = msg->rail;
    remote.qpn           = msg->qpn;
    remote.rq_psn        = msg->psn;
    remote.sq_psn        = path->psn;
    remote.entropy       = path->entropy;
    remote.mtu           = path->mtu;
    remote.max_rd_atomic = path->max_rd_atomic;

    /* A failure on the way may leave it able to receive */
    path->is_connected = 1;
    return vmp_port_qp_connect(path->qp, &remote);
}

void vmp_ctl_path_up(vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_conn_t *conn = path->conn;
    char str[VMP_CTL_STR_MAX];

    path->state        = VMP_CTL_PATH_STATE_UP;
    path->up_time      = now;
    path->is_announced = 1;
    if (path->epoch == 1) {
        /* nothing was known to be dead, so nobody tries it first */
        path->is_proved   = 1;
        path->proved_time = now;
    }
    conn->was_up    = 1;
    conn->is_needed = 0;
    if (path->time >= conn->hint_time) {
        conn->has_hint = 0; /* it is where it said */
    }

    vmp_ctl_path_event(path, VMP_EV_PATH_UP);
    vmp_ctl_half_remove(conn);
    vmp_debug("vmp: %s: path %u epoch %u up after %.1f ms: rail %u to %u, "
              "entropy 0x%x (UDP port %u), QP 0x%x to 0x%x",
              vmp_ctl_conn_str(conn, str), path->index, path->epoch,
              (now - path->time) / 1e6, path->rail, path->remote_rail,
              path->entropy, vmp_port_udp_sport(path->entropy),
              vmp_port_qp_num(path->qp), path->remote_qpn);
}

static void dying_remove(vmp_ctl_path_t *path)
{
    vmp_ctl_path_t **prev = &path->conn->dying;

    while (*prev != path) {
        prev = &(*prev)->next;
    }
    *prev = path->next;
    path->conn->num_dying--;
}

static void path_destroy(vmp_ctl_path_t *path)
{
    vmp_port_qp_destroy(path->qp);
    free(path);
}

unsigned vmp_ctl_path_num_carrying(const vmp_ctl_conn_t *conn)
{
    const vmp_ctl_path_t *path;
    unsigned num = 0;
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        path = conn->paths[i].path;
        num += (path != NULL) && path->is_proved &&
               (path->state == VMP_CTL_PATH_STATE_UP);
    }

    return num;
}

/* Who fails again and again is repaired ever more rarely. Its slot has given it
 * up, so it does not count as carrying any more. */
static void set_backoff(const vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_path_slot_t *slot = &path->conn->paths[path->index];
    uint32_t max_ms           = VMP_CTL_REPAIR_MAX / VMP_CTL_MSEC;

    if ((path->conn->has_user || !path->conn->peer_is_idle) &&
        (slot->tries < LAST_TRIES) &&
        (vmp_ctl_path_num_carrying(path->conn) == 0)) {
        /* somebody may wait, and each try is another way */
        max_ms = VMP_CTL_REPAIR_LAST / VMP_CTL_MSEC;
    }

    if (path->is_proved && (now - path->proved_time >= VMP_CTL_STABLE)) {
        slot->backoff_ms = 0;
    } else if (slot->backoff_ms == 0) {
        slot->backoff_ms = VMP_CTL_REPAIR_MIN / VMP_CTL_MSEC;
    } else {
        slot->backoff_ms *= 2;
    }

    if (slot->backoff_ms > max_ms) {
        slot->backoff_ms = max_ms;
    }

    slot->repair_at = now + slot->backoff_ms * VMP_CTL_MSEC;
}

void vmp_ctl_path_retire(vmp_ctl_path_t *path, uint64_t now)
{
    vmp_ctl_conn_t *conn = path->conn;
    vmp_ctl_t *ctl       = conn->ctl;
    char str[VMP_CTL_STR_MAX];

    conn->paths[path->index].path = NULL;
    vmp_ctl_addr_refresh(ctl, path->rail);
    if (!path->is_connected) {
        path_destroy(path);
        return;
    }

    path->is_stuck = (vmp_port_qp_error(path->qp) != 0);
    vmp_debug("vmp: %s: path %u epoch %u (entropy 0x%x, QP 0x%x) out of use",
              vmp_ctl_conn_str(conn, str), path->index, path->epoch,
              path->entropy, vmp_port_qp_num(path->qp));
    if (path->state == VMP_CTL_PATH_STATE_UP) {
        vmp_entropy_failed(conn, path->entropy);
    }
    if (path->is_announced) {
        vmp_ctl_path_event(path, VMP_EV_PATH_DOWN);
    }

    if (path->is_proved) {
        vmp_ctl_log_down(path, now);
    }
    set_backoff(path, now);
    vmp_ctl_home_left(path, now);
    path->state         = VMP_CTL_PATH_DYING;
    path->time          = now + VMP_CTL_QUARANTINE;
    path->in_quarantine = 1;
    path->next          = conn->dying;
    conn->dying         = path;
    conn->num_dying++;

    path->fifo_next = NULL;
    if (ctl->quarantine_tail == NULL) {
        ctl->quarantine_head = path;
    } else {
        ctl->quarantine_tail->fifo_next = path;
    }
    ctl->quarantine_tail = path;
    vmp_ctl_down_begin(path);
}

void vmp_ctl_path_check_end(vmp_ctl_path_t *path)
{
    vmp_ctl_conn_t *conn = path->conn;

    if (path->in_quarantine || path->is_settling ||
        (path->is_announced && !path->is_drained) ||
        !vmp_ctl_down_is_over(path)) {
        return;
    }

    dying_remove(path);
    path_destroy(path);
    vmp_ctl_conn_check_gone(conn);
}

void vmp_ctl_path_check_all(vmp_ctl_conn_t *conn)
{
    vmp_ctl_path_t *path = conn->dying;
    vmp_ctl_path_t *next;

    if (path == NULL) {
        vmp_ctl_conn_check_gone(conn);
    }

    /* the connection may go with the last one */
    for (; path != NULL; path = next) {
        next = path->next;
        vmp_ctl_path_check_end(path);
    }
}

void vmp_ctl_path_quarantine(vmp_ctl_t *ctl, uint64_t now)
{
    vmp_ctl_path_t *path;

    while (((path = ctl->quarantine_head) != NULL) && (path->time <= now)) {
        ctl->quarantine_head = path->fifo_next;
        if (ctl->quarantine_head == NULL) {
            ctl->quarantine_tail = NULL;
        }

        path->in_quarantine = 0;
        vmp_ctl_path_check_end(path);
    }
}

void vmp_ctl_path_drained(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                          uint64_t now)
{
    vmp_ctl_path_t *path;

    for (path = conn->dying; path != NULL; path = path->next) {
        if ((path->index == index) && (path->epoch == epoch)) {
            path->is_drained = 1;
            if (conn->state == VMP_CTL_CONN_DYING) {
                vmp_ctl_path_check_end(path);
                return;
            }

            vmp_ctl_path_check_end(path);
            if (vmp_ctl_path_start(conn, now) == 0) {
                vmp_ctl_conn_kick(conn, now);
            }
            return;
        }
    }
}

void vmp_ctl_path_seen(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                       uint64_t now)
{
    vmp_ctl_path_t *path = (index < conn->num_paths) ?
                           conn->paths[index].path : NULL;

    /* As good as the RTU that was lost */
    if ((path != NULL) && (path->epoch == epoch) &&
        (path->state == VMP_CTL_PATH_REP_SENT)) {
        vmp_ctl_path_up(path, now);
        vmp_ctl_conn_kick(conn, now);
    }
}

void vmp_ctl_path_proved(vmp_ctl_conn_t *conn, uint8_t index, uint32_t epoch,
                         uint64_t now)
{
    vmp_ctl_path_t *path = (index < conn->num_paths) ?
                           conn->paths[index].path : NULL;

    if ((path != NULL) && (path->epoch == epoch) && !path->is_proved &&
        (path->state == VMP_CTL_PATH_STATE_UP)) {
        path->is_proved   = 1;
        path->proved_time = now;
        vmp_ctl_log_repaired(path, now);
        vmp_ctl_home_proved(path);
        vmp_ctl_conn_wait(conn, now);   /* until it may go home */
    }
}

int vmp_ctl_path_is_draining(const vmp_ctl_conn_t *conn, unsigned index)
{
    const vmp_ctl_path_t *path;

    for (path = conn->dying; path != NULL; path = path->next) {
        if ((path->index == index) &&
            ((path->is_announced && !path->is_drained) ||
             !vmp_ctl_down_is_over(path))) {
            return 1;
        }
    }

    return 0;
}

void vmp_ctl_path_free_all(vmp_ctl_conn_t *conn)
{
    vmp_ctl_path_t *path;
    unsigned i;

    for (i = 0; i < conn->num_paths; i++) {
        if (conn->paths[i].path != NULL) {
            path_destroy(conn->paths[i].path);
        }
    }

    while ((path = conn->dying) != NULL) {
        conn->dying = path->next;
        path_destroy(path);
    }
}
