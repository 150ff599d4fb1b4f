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


/* Output */

static void ctl_send_from(vmp_ctl_t *ctl, vmp_ctl_msg_t *msg, unsigned rail,
                          unsigned ud, const vmp_rail_addr_t *dest,
                          uint32_t qpn)
{
    uint8_t buf[VMP_CTL_MAX_LEN];
    size_t length;

    /* Spares do not receive: in their datagrams stands one that does */
    msg->src_qpn  = ctl->attr.ud_qpn[rail][ud % ctl->attr.num_ud];
    msg->src_rail = ctl->attr.addr[rail];
    length        = vmp_ctl_msg_pack(buf, msg);
    vmp_port_ctl_send(ctl->params.port, rail, ud, dest, qpn, buf, length);
}

static void ctl_send(vmp_ctl_t *ctl, vmp_ctl_msg_t *msg, uint32_t seq,
                     const vmp_rail_addr_t *dest, uint32_t qpn)
{
    ctl_send_from(ctl, msg, (seq / ctl->attr.num_ud) % ctl->attr.num_rails,
                  seq % ctl->attr.num_ud, dest, qpn);
}

/* When many connections repeat themselves at a time, copies would only fill the
 * queues. Return 0: no more. */
static int take_copy(vmp_ctl_t *ctl)
{
    if (ctl->copy_time < ctl->now) {
        ctl->copy_time = ctl->now;
    } else if (ctl->copy_time - ctl->now >=
               VMP_CTL_COPY_BURST * VMP_CTL_COPY_INTERVAL) {
        return 0;
    }

    ctl->copy_time += VMP_CTL_COPY_INTERVAL;
    return 1;
}

static void send_from_spares(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg)
{
    vmp_ctl_t *ctl = conn->ctl;
    unsigned rail, i;

    for (rail = 0; rail < ctl->attr.num_rails; rail++) {
        for (i = 0; i < VMP_PORT_UD_SPARES; i++) {
            if ((ctl->spares[rail] & (1u << i)) && take_copy(ctl)) {
                ctl_send_from(ctl, msg, rail, VMP_MAX_UD + i, &conn->rail,
                              conn->iface.ud_qpn[(conn->send_seq + i) %
                                                 conn->iface.num_ud]);
            }
        }
    }
}

static void renew_spares(vmp_ctl_t *ctl, uint64_t interval)
{
    unsigned rail, i;

    if ((ctl->renewed_at != 0) && (ctl->now - ctl->renewed_at < interval)) {
        return;
    }

    ctl->renewed_at = ctl->now;
    for (rail = 0; rail < ctl->attr.num_rails; rail++) {
        vmp_ctl_addr_refresh(ctl, rail);
        for (i = 0; i < VMP_PORT_UD_SPARES; i++) {
            if (vmp_port_ctl_renew(ctl->params.port, rail, i) == 0) {
                ctl->spares[rail] |= 1u << i;
            }
        }
    }
}

void vmp_ctl_conn_try_hard(vmp_ctl_conn_t *conn, unsigned tries)
{
    conn->hard_until = conn->ctl->now + VMP_CTL_HARD_TIME;
    renew_spares(conn->ctl, (tries < VMP_CTL_HARD_FAST) ? VMP_CTL_RENEW_FAST :
                                                          VMP_CTL_RENEW_SLOW);
}

void vmp_ctl_conn_send(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg)
{
    vmp_ctl_t *ctl  = conn->ctl;
    unsigned num_ud = ctl->attr.num_ud * ctl->attr.num_rails;
    unsigned remote, i;
    uint32_t seq;

    msg->version    = conn->version;
    msg->role       = conn->role;
    msg->src_id     = ctl->params.id;
    msg->dst_id     = conn->peer_id;
    msg->src_conn   = conn->slot;
    msg->src_incarn = conn->incarn;
    msg->dst_conn   = conn->peer_conn;
    msg->dst_incarn = conn->peer_incarn;

    vmp_trace("vmp: send %s to %016lx, incarnation %u, path %u, epoch %u",
              vmp_ctl_type_str(msg->type), (unsigned long)conn->peer_id,
              conn->incarn, msg->path, msg->epoch);

    /* All of ours first: they differ in UDP source port, so in the way through
     * the network; the peer's differ only in their queue, of which copies take
     * different ones */
    for (i = 0; (i == 0) || ((i <= conn->extra) && take_copy(ctl)); i++) {
        seq    = conn->send_seq + i;
        remote = (seq / num_ud + i) % conn->iface.num_ud;
        ctl_send(ctl, msg, seq, &conn->rail, conn->iface.ud_qpn[remote]);
    }

    if (ctl->now < conn->hard_until) {
        send_from_spares(conn, msg);
    }
}

void vmp_ctl_conn_send_again(vmp_ctl_conn_t *conn, unsigned extra)
{
    unsigned num_ud = conn->ctl->attr.num_ud * conn->ctl->attr.num_rails;

    if ((conn->ctl->now < conn->hard_until) && (extra > 1)) {
        extra = 1;              /* spares promise more */
    }
    conn->extra = (extra < num_ud) ? extra : num_ud - 1;
    conn->send_seq++;
}

int vmp_ctl_conn_answer_again(vmp_ctl_conn_t *conn, uint64_t *last_p,
                              uint64_t gap)
{
    uint64_t now = conn->ctl->now;

    if ((*last_p != 0) && (now - *last_p < gap)) {
        return 0;
    }

    *last_p = now;
    if (conn->repeats < UINT8_MAX) {
        conn->repeats++;
    }
    if (conn->repeats >= VMP_CTL_HARD_REPEATS) {
        vmp_ctl_conn_try_hard(conn, conn->repeats);
    }
    vmp_ctl_conn_send_again(conn, conn->repeats);
    return 1;
}

void vmp_ctl_conn_send_wide(vmp_ctl_conn_t *conn, vmp_ctl_msg_t *msg)
{
    unsigned num_ud = conn->ctl->attr.num_ud * conn->ctl->attr.num_rails;
    vmp_ctl_t *ctl  = conn->ctl;
    uint8_t extra   = conn->extra;
    unsigned wide   = (num_ud < VMP_CTL_WIDE) ? num_ud : VMP_CTL_WIDE;

    if (conn->extra < wide - 1) {
        conn->extra = wide - 1;
    }
    vmp_ctl_conn_send(conn, msg);
    conn->extra = extra;

    /* Work waits: the more ways the better is the quickest, since datagrams are
     * in line with what fills the links */
    if (ctl->now >= conn->hard_until) {
        if (ctl->spares[0] == 0) {
            renew_spares(ctl, VMP_CTL_RENEW_SLOW);
        }
        send_from_spares(conn, msg);
    }
}

void vmp_ctl_conn_send_again_end(vmp_ctl_conn_t *conn)
{
    conn->send_seq += conn->extra;
    conn->extra     = 0;
}

void vmp_ctl_answer(vmp_ctl_t *ctl, const vmp_ctl_msg_t *in,
                    vmp_ctl_type_t type, vmp_ctl_reason_t reason, uint64_t now)
{
    vmp_ctl_msg_t out = {
        .type       = type,
        .reason     = reason,
        .role       = (in->src_id == in->dst_id) ? !in->role : 0,
        .src_id     = in->dst_id,
        .dst_id     = in->src_id,
        .src_conn   = in->dst_conn,
        .src_incarn = in->dst_incarn,
        .dst_conn   = in->src_conn,
        .dst_incarn = in->src_incarn,
        .ver_min    = VMP_WIRE_VER_MIN,
        .ver_max    = VMP_WIRE_VER_MAX,
        .path       = in->path,
        .epoch      = in->epoch
    };

    /* No answers to answers, so no loops */
    if ((in->type == VMP_CTL_GOODBYE) || (in->type == VMP_CTL_REJECT) ||
        (in->type == VMP_CTL_DEAD)) {
        return;
    }

    if (ctl->answer_time < now) {
        ctl->answer_time = now;
    } else if (ctl->answer_time - now >
               VMP_CTL_ANSWER_BURST * VMP_CTL_ANSWER_INTERVAL) {
        return;                 /* The sender will repeat it */
    }

    ctl->answer_time += VMP_CTL_ANSWER_INTERVAL;
    vmp_debug("vmp: answer %s of %016lx with %s: %s",
              vmp_ctl_type_str(in->type), (unsigned long)in->src_id,
              vmp_ctl_type_str(type), vmp_ctl_reason_str(reason));
    ctl_send(ctl, &out, ctl->answer_seq++, &in->src_rail, in->src_qpn);
}

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

/* STALE is also said by who has the number of a control QP of a peer that is
 * gone. Others, to whom a datagram went astray, know nothing of that peer. */
static int is_from_peers_qp(const vmp_ctl_conn_t *conn,
                            const vmp_ctl_msg_t *msg)
{
    unsigned i;

    for (i = 0; i < conn->iface.num_ud; i++) {
        if ((conn->iface.ud_qpn[i] == msg->src_qpn) &&
            (conn->rail.lid == msg->src_rail.lid) &&
            (memcmp(conn->rail.gid, msg->src_rail.gid,
                    sizeof(conn->rail.gid)) == 0)) {
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
        vmp_ctl_conn_need(conn, now);
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
