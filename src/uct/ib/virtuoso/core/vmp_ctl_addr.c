/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core/vmp_ctl_int.h"

#include <string.h>

/*
 * Addresses that change (R5). What a side has connected with its old address is
 * dead: paths fail by themselves, and are repaired with the new one. But nobody
 * can send datagrams to it who does not know where it is now. So it tells its
 * peers: CONNECT with the incarnation that they are connected to, until they
 * answer, there.
 */


static int is_same(const vmp_rail_addr_t *a, const vmp_rail_addr_t *b)
{
    return (a->lid == b->lid) && (a->is_roce == b->is_roce) &&
           (memcmp(a->gid, b->gid, sizeof(a->gid)) == 0);
}

void vmp_ctl_addr_tell(vmp_ctl_conn_t *conn)
{
    vmp_ctl_t *ctl = conn->ctl;

    if (conn->peer_id == ctl->params.id) {
        conn->rail = ctl->attr.addr[0];
    } else if (conn->state == VMP_CTL_CONN_CONNECTED) {
        conn->is_moved = 1;
        vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT);
        vmp_ctl_conn_kick(conn, ctl->now);
    }
}

void vmp_ctl_addr_refresh(vmp_ctl_t *ctl, unsigned rail)
{
    /* many paths come and go at a time, and the port asks the kernel */
    if (ctl->now - ctl->addr_time[rail] >= VMP_CTL_ADDR_INTERVAL) {
        vmp_ctl_addr_refresh_now(ctl, rail);
    } else {
        ctl->addr_due |= 1u << rail;    /* it may have changed after that look */
    }
}

uint64_t vmp_ctl_addr_progress(vmp_ctl_t *ctl)
{
    uint64_t next = UINT64_MAX;
    unsigned rail;
    uint64_t time;

    for (rail = 0; (ctl->addr_due >> rail) != 0; rail++) {
        if (!((ctl->addr_due >> rail) & 1)) {
            continue;
        }

        time = ctl->addr_time[rail] + VMP_CTL_ADDR_INTERVAL;
        if (time <= ctl->now) {
            vmp_ctl_addr_refresh_now(ctl, rail);
        } else if (time < next) {
            next = time;
        }
    }

    return next;
}

void vmp_ctl_addr_refresh_now(vmp_ctl_t *ctl, unsigned rail)
{
    vmp_rail_addr_t addr;
    uint32_t slot;

    ctl->addr_time[rail] = ctl->now;
    ctl->addr_due       &= ~(1u << rail);
    vmp_port_rail_addr(ctl->params.port, rail, &addr);
    if (is_same(&addr, &ctl->attr.addr[rail])) {
        return;
    }

    vmp_info("vmp: rail %u has another address: %u connections follow", rail,
             ctl->num_conns);
    ctl->attr.addr[rail] = addr;
    if (rail != 0) {
        return;
    }

    ctl->addr_gen += (ctl->addr_gen == UINT8_MAX) ? 2 : 1; /* 0: never */
    for (slot = 0; slot < ctl->num_slots; slot++) {
        if (ctl->slots[slot] != NULL) {
            vmp_ctl_addr_tell(ctl->slots[slot]);
        }
    }
}

int vmp_ctl_addr_is_unsure(const vmp_ctl_conn_t *conn)
{
    return conn->has_hint && !is_same(&conn->hint, &conn->rail);
}

/* Both may be old, so it is asked at both. A word that says nothing new is kept
 * as well: older news of the peer's may come later. */
void vmp_ctl_addr_hint(vmp_ctl_conn_t *conn, const vmp_rail_addr_t *rail)
{
    int is_new;

    if (conn->peer_id == conn->ctl->params.id) {
        return;
    }

    is_new          = !conn->has_hint || !is_same(&conn->hint, rail);
    conn->hint      = *rail;    /* the last word counts */
    conn->hint_time = conn->ctl->now;
    conn->has_hint  = 1;
    if (is_new && vmp_ctl_addr_is_unsure(conn)) {
        conn->asked_at = 0;
        vmp_ctl_conn_send_connect(conn, VMP_CTL_CONNECT);
    }
}

void vmp_ctl_addr_agree(vmp_ctl_conn_t *conn, const vmp_rail_addr_t *rail)
{
    vmp_rail_addr_t asked = conn->rail;

    conn->rail = *rail;
    if (!conn->has_hint) {
        conn->has_hint = conn->peer_id != conn->ctl->params.id;
        conn->hint     = asked;
    }
}

void vmp_ctl_addr_of_peer(vmp_ctl_conn_t *conn, const vmp_ctl_msg_t *msg)
{
    char str[VMP_CTL_STR_MAX];

    if ((int8_t)(msg->addr_gen - conn->addr_gen) <= 0) {
        return;                 /* known, or late */
    }

    conn->addr_gen = msg->addr_gen;
    vmp_port_ctl_forget(conn->ctl->params.port, 0, &conn->rail);
    if (vmp_ctl_addr_is_unsure(conn) && is_same(&conn->hint, &msg->rail)) {
        /* nobody may have been there when it was tried first */
        vmp_port_ctl_forget(conn->ctl->params.port, 0, &conn->hint);
    }

    /* A hint stays: it may have moved again, unawares, before the application
     * looked */
    conn->rail = msg->rail;
    vmp_info("vmp: %s is there now", vmp_ctl_conn_str(conn, str));
}
