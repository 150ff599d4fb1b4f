/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

#include <stdlib.h>
#include <string.h>


/* Splitmix64: good enough to spread values, and repeatable in tests */
uint64_t vmp_ctl_random(vmp_ctl_t *ctl)
{
    uint64_t x;

    ctl->rng += 0x9e3779b97f4a7c15ull;
    x         = ctl->rng;
    x         = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x         = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

vmp_ctl_t *vmp_ctl_create(const vmp_ctl_params_t *params)
{
    vmp_ctl_t *ctl = calloc(1, sizeof(*ctl));

    if (ctl == NULL) {
        return NULL;
    }

    ctl->params      = *params;
    ctl->attr        = *params->attr;
    ctl->params.attr = &ctl->attr;
    ctl->rng         = vmp_port_random(params->port);
    ctl->answer_seq  = (uint32_t)vmp_ctl_random(ctl);
    ctl->next_incarn = 1;
    return ctl;
}

void vmp_ctl_delivered(vmp_ctl_t *ctl, uint32_t slot, uint32_t incarn,
                       uint64_t sn)
{
    vmp_ctl_conn_t *conn = vmp_ctl_slot_find(ctl, slot, incarn);

    if (conn != NULL) {
        conn->delivered = (uint32_t)sn;
    }
}

void vmp_ctl_destroy(vmp_ctl_t *ctl)
{
    vmp_ctl_msg_t msg = {.type = VMP_CTL_GOODBYE};
    vmp_ctl_conn_t *conn;
    uint32_t slot;
    unsigned i;

    for (slot = 0; slot < ctl->num_slots; slot++) {
        conn = ctl->slots[slot];
        if (conn == NULL) {
            continue;
        }

        /* Nobody will be there to repeat it, so several at once, each from
         * another control QP */
        msg.reason    = (conn->state == VMP_CTL_CONN_DYING) ?
                        conn->bye_reason : VMP_REASON_CLOSED;
        msg.delivered = conn->delivered;
        for (i = 0; (i < VMP_CTL_CLOSE_COPIES) &&
             (conn->peer_incarn != 0) &&
             ((conn->state != VMP_CTL_CONN_DYING) || (conn->goodbyes > 0));
             i++) {
            vmp_ctl_conn_send(conn, &msg);
            conn->send_seq++;
        }

        vmp_ctl_path_free_all(conn);
        vmp_ctl_conn_free(conn);
    }

    vmp_ctl_peers_free(ctl);
    free(ctl->heap);
    free(ctl->slots);
    free(ctl);
}


/* Events */

int vmp_ctl_ev_reserve(vmp_ctl_conn_t *conn, unsigned num)
{
    vmp_ev_t *ev;

    while (conn->num_spare_evs < num) {
        ev = malloc(sizeof(*ev));
        if (ev == NULL) {
            return -1;
        }

        ev->spare_next  = conn->spare_evs;
        conn->spare_evs = ev;
        conn->num_spare_evs++;
    }

    return 0;
}

void vmp_ctl_ev_release(vmp_ctl_conn_t *conn)
{
    vmp_ev_t *ev;

    while ((ev = conn->spare_evs) != NULL) {
        conn->spare_evs = ev->spare_next;
        free(ev);
    }
    conn->num_spare_evs = 0;
}

void vmp_ctl_ev_push(vmp_ctl_conn_t *conn, vmp_ev_type_t type,
                     const vmp_ev_t *ev)
{
    vmp_ev_t *copy = conn->spare_evs;

    conn->spare_evs = copy->spare_next;
    conn->num_spare_evs--;
    *copy           = *ev;
    copy->type      = type;
    copy->slot      = conn->slot;
    copy->incarn    = conn->incarn;
    copy->peer_id   = conn->peer_id;
    copy->role      = conn->role;
    copy->peer_rail = conn->rail;
    vmp_spsc_push(conn->ctl->params.evs, &copy->super);
    vmp_port_event_signal(conn->ctl->params.port);
}


/* Input */

/* Whether it comes from the very connection that ours is connected to */
static int is_from_peer(const vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg)
{
    return (msg->src_conn == conn->peer_conn) &&
           (msg->src_incarn == conn->peer_incarn);
}

static int is_from(const vmp_rail_addr_t *rail, const vmp_ctl_msg_t *msg)
{
    return (rail->lid == msg->src_rail.lid) &&
           (memcmp(rail->gid, msg->src_rail.gid, sizeof(rail->gid)) == 0);
}

/* STALE is also said by who has the number of a control QP of a peer that is
 * gone. Others, to whom a datagram went astray, know nothing of that peer. */
static int is_from_peers_qp(const vmp_ctl_conn_t *conn,
                            const vmp_ctl_msg_t *msg)
{
    unsigned i;

    if (!is_from(&conn->rail, msg) &&
        (!conn->has_hint || !is_from(&conn->hint, msg))) {
        return 0;
    }

    for (i = 0; i < conn->iface.num_ud; i++) {
        if (conn->iface.ud_qpn[i] == msg->src_qpn) {
            return 1;
        }
    }
    return 0;
}

static void recv_on_conn(vmp_ctl_t *ctl, const vmp_ctl_msg_t *msg,
                         uint8_t role, uint64_t now)
{
    vmp_ctl_conn_t *conn = vmp_ctl_slot_find(ctl, msg->dst_conn,
                                             msg->dst_incarn);

    if ((conn == NULL) || (conn->peer_id != msg->src_id) ||
        (conn->role != role)) {
        vmp_ctl_answer(ctl, msg, VMP_CTL_GOODBYE, VMP_REASON_STALE, now);
        return;
    }

    if ((msg->reason == VMP_REASON_STALE) &&
        ((msg->type == VMP_CTL_GOODBYE) || (msg->type == VMP_CTL_REJECT)) &&
        !is_from_peers_qp(conn, msg)) {
        vmp_debug("vmp: %s(%s) of %016lx from control QP %u, which is not its, "
                  "dropped", vmp_ctl_type_str(msg->type),
                  vmp_ctl_reason_str(msg->reason), (unsigned long)msg->src_id,
                  msg->src_qpn);
        return;
    }

    switch (msg->type) {
    case VMP_CTL_CONNECT_ACK:
        vmp_ctl_conn_recv_ack(conn, msg, now);
        return;
    case VMP_CTL_REJECT:
        vmp_ctl_conn_recv_reject(conn, msg, now);
        return;
    case VMP_CTL_GOODBYE:
        vmp_ctl_conn_recv_goodbye(conn, msg, now);
        return;
    default:
        break;
    }

    if (conn->state == VMP_CTL_CONN_CONNECTING) {
        /* Has overtaken CONNECT_ACK, or that was lost: it will be repeated. The
         * peer has our CONNECT, so it lives: ask it again, soon. */
        conn->heard = now;
        vmp_ctl_conn_kick(conn, now);
        return;
    }

    if ((conn->state == VMP_CTL_CONN_DYING) || !is_from_peer(conn, msg)) {
        vmp_ctl_answer(ctl, msg, VMP_CTL_GOODBYE, VMP_REASON_STALE, now);
        return;
    }

    if ((msg->version != conn->version) && (msg->type != VMP_CTL_DEAD)) {
        vmp_debug("vmp: %s of version %u on a connection of version %u dropped",
                  vmp_ctl_type_str(msg->type), msg->version, conn->version);
        return;
    }

    vmp_ctl_conn_heard(conn, now);
    if (msg->type == VMP_CTL_DISCONNECT) {
        conn->peer_is_idle = 1;
        return;
    }

    vmp_ctl_path_recv(conn, msg, now);
}

void vmp_ctl_recv(vmp_ctl_t *ctl, unsigned rail, const void *data,
                  size_t length, uint64_t now)
{
    vmp_ctl_msg_t msg;
    uint8_t role;

    ctl->now = now;
    if (vmp_ctl_msg_unpack(data, length, &msg) < 0) {
        vmp_debug("vmp: control datagram of %zu bytes on rail %u is not ours, "
                  "dropped", length, rail);
        return;
    }

    vmp_trace("vmp: got %s from %016lx, incarnation %u, path %u, epoch %u",
              vmp_ctl_type_str(msg.type), (unsigned long)msg.src_id,
              msg.src_incarn, msg.path, msg.epoch);

    if (msg.dst_id != ctl->params.id) {
        /* The control QP's number was another interface's before, which is gone
         * for ever: its peer need not wait */
        vmp_ctl_answer(ctl, &msg, (msg.type == VMP_CTL_CONNECT) ?
                       VMP_CTL_REJECT : VMP_CTL_GOODBYE, VMP_REASON_STALE,
                       now);
        return;
    }

    if (msg.src_id == ctl->params.id) {
        role = !msg.role;
    } else if (msg.role == 0) {
        role = 0;
    } else {
        return;
    }

    if (msg.type == VMP_CTL_CONNECT) {
        vmp_ctl_conn_recv_connect(ctl, &msg, role, now);
    } else {
        recv_on_conn(ctl, &msg, role, now);
    }
}


/* Commands and timers */

static void command(vmp_ctl_t *ctl, const vmp_cmd_t *cmd, uint64_t now)
{
    vmp_ctl_conn_t *conn;

    if (cmd->type == VMP_CMD_CONNECT) {
        if (vmp_ctl_conn_open(ctl, cmd, now) < 0) {
            ctl->stalled    = *cmd;
            ctl->is_stalled = 1;
        }
        return;
    }

    conn = vmp_ctl_slot_find(ctl, cmd->slot, cmd->incarn);
    if (conn == NULL) {
        return;
    }

    if (cmd->type == VMP_CMD_PATH_DRAINED) {
        vmp_ctl_path_drained(conn, cmd->path, cmd->epoch, now);
        return;
    }

    if (conn->state == VMP_CTL_CONN_DYING) {
        return;
    }

    switch (cmd->type) {
    case VMP_CMD_WANT_PATHS:
        vmp_ctl_path_want(conn, cmd->num_paths, now);
        break;
    case VMP_CMD_FAIL:
        /* Its paths gave no answer, or wrong ones: another host may be there */
        conn->must_forget = 1;
        vmp_ctl_conn_fail(conn, VMP_EV_CONN_GONE, VMP_OK, VMP_REASON_NONE,
                          VMP_REASON_FAILED, now);
        break;
    case VMP_CMD_PATH_FAIL:
        vmp_ctl_path_failed(conn, cmd->path, cmd->epoch, now);
        break;
    case VMP_CMD_PATH_SEEN:
        vmp_ctl_path_seen(conn, cmd->path, cmd->epoch, now);
        break;
    case VMP_CMD_PING:
        vmp_ctl_conn_ping(conn);
        break;
    case VMP_CMD_PATH_PROVED:
        vmp_ctl_path_proved(conn, cmd->path, cmd->epoch, now);
        break;
    case VMP_CMD_NEED:
        vmp_ctl_conn_need(conn, cmd->is_overdue, now);
        break;
    case VMP_CMD_NO_NEED:
        vmp_ctl_conn_no_need(conn);
        break;
    case VMP_CMD_IDLE:
        vmp_ctl_conn_idle(conn);
        break;
    default:
        break;
    }
}

uint64_t vmp_ctl_progress(vmp_ctl_t *ctl, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    vmp_spsc_node_t *node;
    uint64_t addr;
    uint64_t idle;

    ctl->now = now;
    if (ctl->is_stalled) {
        ctl->is_stalled = 0;
        command(ctl, &ctl->stalled, now);
    }

    while (!ctl->is_stalled &&
           ((node = vmp_spsc_pop(ctl->params.cmds)) != NULL)) {
        command(ctl, (const vmp_cmd_t*)node, now);
    }

    addr = vmp_ctl_addr_progress(ctl);

    /* Each timer that ran out is set to later than now, so this ends */
    while ((ctl->heap_len > 0) && (ctl->heap[0]->resend_at <= now)) {
        vmp_ctl_conn_timer(ctl->heap[0], now);
    }

    idle = vmp_ctl_idle_progress(ctl, now);
    next = vmp_ctl_down_settle(ctl, now);
    vmp_ctl_path_quarantine(ctl, now);
    vmp_ctl_peer_expire(ctl, now);

    if (idle < next) {
        next = idle;
    }
    if (addr < next) {
        next = addr;
    }
    if ((ctl->heap_len > 0) && (ctl->heap[0]->resend_at < next)) {
        next = ctl->heap[0]->resend_at;
    }
    if ((ctl->quarantine_head != NULL) && (ctl->quarantine_head->time < next)) {
        next = ctl->quarantine_head->time;
    }
    if (ctl->is_stalled && (now + VMP_CTL_RTO_MIN < next)) {
        next = now + VMP_CTL_RTO_MIN;
    }

    return next;
}

void vmp_ctl_rail_event(vmp_ctl_t *ctl, unsigned rail, int is_up, uint64_t now)
{
    uint32_t i;

    ctl->now = now;
    vmp_info("vmp: port of rail %u is %s", rail, is_up ? "up" : "down");
    if (!is_up) {
        return;
    }

    vmp_ctl_addr_refresh_now(ctl, rail);

    /* What waits need not wait out its back-off. The heap keeps its order when
     * all get the same time. */
    for (i = 0; i < ctl->heap_len; i++) {
        ctl->heap[i]->resend_at  = now;
        ctl->heap[i]->resend_due = now;
        ctl->heap[i]->rto        = vmp_ctl_conn_rto(ctl->heap[i]);
    }
}
