/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "ctl_world.h"

#include <string.h>


void app_cmd(unsigned n, uint32_t slot, vmp_cmd_type_t type, uint8_t num_paths)
{
    node_t *node     = &world.nodes[n];
    app_conn_t *conn = node->conns[slot];
    vmp_cmd_t *cmd   = calloc(1, sizeof(*cmd));

    cmd->type      = type;
    cmd->slot      = slot;
    cmd->incarn    = conn->incarn;
    cmd->num_paths = num_paths;
    cmd->epoch     = 1;
    if (type == VMP_CMD_FAIL) {
        conn->is_ended        = 1;
        conn->is_failed_by_us = 1;
        conn->end             = VMP_EV_CONN_GONE;
    }
    vmp_spsc_push(&node->cmds, &cmd->super);
    node->deadline = world.now;
}

void app_connect_to(unsigned n, unsigned peer, uint64_t id)
{
    node_t *node   = &world.nodes[n];
    vmp_cmd_t *cmd = calloc(1, sizeof(*cmd));

    cmd->type          = VMP_CMD_CONNECT;
    cmd->rail          = world.nodes[peer].addr;
    cmd->iface.id      = id;
    cmd->iface.ver_min = VMP_WIRE_VER_MIN;
    cmd->iface.ver_max = VMP_WIRE_VER_MAX;
    cmd->iface.num_ud  = WORLD_UD;
    memcpy(cmd->iface.ud_qpn, world.nodes[peer].attr.ud_qpn[0],
           sizeof(cmd->iface.ud_qpn));
    vmp_spsc_push(&node->cmds, &cmd->super);
    node->deadline = world.now;
}

void app_connect(unsigned n, unsigned peer)
{
    app_connect_to(n, peer, world.nodes[peer].id);
}

static int conn_is_alive(const app_conn_t *conn)
{
    return (conn != NULL) && !conn->is_ended;
}

app_conn_t *app_find(unsigned n, uint64_t peer_id, uint8_t role,
                     uint32_t *slot_p)
{
    node_t *node      = &world.nodes[n];
    app_conn_t *found = NULL;
    uint32_t slot, left;

    for (slot = 0, left = node->num_conns; left > 0; slot++) {
        left -= node->conns[slot] != NULL;
        if (conn_is_alive(node->conns[slot]) &&
            (node->conns[slot]->peer_id == peer_id) &&
            (node->conns[slot]->role == role)) {
            VMP_CHECK(found == NULL);       /* At most one is alive */
            found = node->conns[slot];
            if (slot_p != NULL) {
                *slot_p = slot;
            }
        }
    }

    return found;
}

uint32_t app_slot(unsigned n, unsigned peer)
{
    uint32_t slot = UINT32_MAX;

    VMP_CHECK(app_find(n, world.nodes[peer].id, 0, &slot) != NULL);
    return slot;
}

app_conn_t *app_find_ended(unsigned n)
{
    app_conn_t *found = NULL;
    uint32_t slot;

    for (slot = 0; slot < WORLD_SLOTS; slot++) {
        if ((world.nodes[n].conns[slot] != NULL) &&
            world.nodes[n].conns[slot]->is_ended) {
            VMP_CHECK(found == NULL);
            found = world.nodes[n].conns[slot];
        }
    }

    return found;
}

static void ev_conn(unsigned n, const vmp_ev_t *ev)
{
    node_t *node     = &world.nodes[n];
    app_conn_t *conn = calloc(1, sizeof(*conn));

    VMP_CHECK(ev->slot < WORLD_SLOTS);
    VMP_CHECK(node->conns[ev->slot] == NULL);
    VMP_CHECK(ev->incarn > node->last_incarn);
    VMP_CHECK((ev->role == 0) || (ev->peer_id == node->id));
    if (node->num_conns < 64) {
        VMP_CHECK(app_find(n, ev->peer_id, ev->role, NULL) == NULL);
    }

    conn->incarn          = ev->incarn;
    conn->peer_id         = ev->peer_id;
    conn->role            = ev->role;
    node->last_incarn     = ev->incarn;
    node->conns[ev->slot] = conn;
    node->num_conns++;
    node->num_conn_evs++;
}

static void ev_path(unsigned n, app_conn_t *conn, const vmp_ev_t *ev)
{
    app_path_t *path = &conn->paths[ev->path];

    (void)n;
    VMP_CHECK(conn->is_agreed && (ev->path < conn->peer.num_paths));
    switch (ev->type) {
    case VMP_EV_PATH_READY:
        VMP_CHECK(path->state == APP_PATH_NONE);
        break;
    case VMP_EV_PATH_UP:
        VMP_CHECK((path->state == APP_PATH_NONE) ||
                  ((path->state == APP_PATH_READY) && (path->qp == ev->qp) &&
                   (path->epoch == ev->epoch)));
        break;
    case VMP_EV_PATH_DEAD:
        /* once, of the last epoch that was taken down, before the next one */
        VMP_CHECK(!conn->is_ended || conn->is_failed_by_us);
        VMP_CHECK((path->state == APP_PATH_DOWN) ||
                  (path->state == APP_PATH_NONE));
        VMP_CHECK((path->epoch == ev->epoch) &&
                  (path->dead_epoch < ev->epoch));
        path->dead_epoch = ev->epoch;
        return;
    default:
        VMP_CHECK((path->state == APP_PATH_READY) ||
                  (path->state == APP_PATH_UP));
        VMP_CHECK((path->epoch == ev->epoch) && (path->qp->state == QP_ERR));
        path->state      = APP_PATH_DOWN;
        path->drain_time = world.now + world_rand(world.drain_max);
        return;
    }

    VMP_CHECK((path->state == APP_PATH_READY) ||
              ((ev->epoch > path->epoch) && (path->dead_epoch == path->epoch)));
    VMP_CHECK(ev->qp->is_known == (path->state == APP_PATH_READY));
    ev->qp->is_known = 1;
    path->epoch      = ev->epoch;
    path->entropy    = ev->entropy;
    path->qp         = ev->qp;
    path->state      = (ev->type == VMP_EV_PATH_UP) ? APP_PATH_UP :
                       APP_PATH_READY;
}

static void ev_gone(node_t *node, const vmp_ev_t *ev)
{
    app_conn_t *conn = node->conns[ev->slot];
    unsigned i;

    VMP_CHECK(conn->is_ended);
    for (i = 0; i < WORLD_PATHS; i++) {
        VMP_CHECK(conn->paths[i].state == APP_PATH_NONE);
    }

    free(conn);
    node->conns[ev->slot] = NULL;
    node->num_conns--;
}

static void app_event(unsigned n, const vmp_ev_t *ev)
{
    node_t *node = &world.nodes[n];
    app_conn_t *conn;

    if (ev->type == VMP_EV_CONN) {
        ev_conn(n, ev);
        return;
    }

    if (ev->slot == UINT32_MAX) {
        /* not even made */
        VMP_CHECK(ev->type == VMP_EV_CONN_FAILED);
        VMP_CHECK(ev->status == VMP_ERR_NO_MEMORY);
        node->num_failed++;
        return;
    }

    VMP_CHECK(ev->slot < WORLD_SLOTS);
    conn = node->conns[ev->slot];
    VMP_CHECK((conn != NULL) && (conn->incarn == ev->incarn) &&
              (conn->peer_id == ev->peer_id));
    switch (ev->type) {
    case VMP_EV_CONN_PEER:
        VMP_CHECK(!conn->is_agreed);
        VMP_CHECK((ev->num_paths >= 1) && (ev->num_paths <= WORLD_PATHS));
        conn->is_agreed = 1;
        conn->peer      = *ev;
        break;
    case VMP_EV_CONN_FAILED:
    case VMP_EV_PEER_CLOSED:
        /* It may have crossed our own VMP_CMD_FAIL */
        VMP_CHECK(!conn->is_ended ||
                  (conn->is_failed_by_us && (conn->end == VMP_EV_CONN_GONE)));
        conn->is_ended    = 1;
        conn->end         = ev->type;
        conn->status      = ev->status;
        node->num_failed += ev->type == VMP_EV_CONN_FAILED;
        break;
    case VMP_EV_PROBE:
        break;
    case VMP_EV_CONN_GONE:
        ev_gone(node, ev);
        break;
    default:
        ev_path(n, conn, ev);
        break;
    }
}

static void path_cmd(unsigned n, uint32_t slot, unsigned index,
                     vmp_cmd_type_t type)
{
    node_t *node     = &world.nodes[n];
    app_conn_t *conn = node->conns[slot];
    vmp_cmd_t *cmd   = calloc(1, sizeof(*cmd));

    cmd->type   = type;
    cmd->slot   = slot;
    cmd->incarn = conn->incarn;
    cmd->path   = index;
    cmd->epoch  = conn->paths[index].epoch;
    vmp_spsc_push(&node->cmds, &cmd->super);
    node->deadline = world.now;
}

void app_fail_path(unsigned n, uint32_t slot, unsigned index)
{
    path_cmd(n, slot, index, VMP_CMD_PATH_FAIL);
}

void app_prove_path(unsigned n, uint32_t slot, unsigned index)
{
    path_cmd(n, slot, index, VMP_CMD_PATH_PROVED);
}

void app_poll(unsigned n)
{
    node_t *node = &world.nodes[n];
    const vmp_spsc_node_t *ev;

    while ((ev = vmp_spsc_pop(&node->evs)) != NULL) {
        app_event(n, (const vmp_ev_t*)ev);
    }
}

uint64_t app_drain(unsigned n)
{
    node_t *node  = &world.nodes[n];
    uint64_t next = UINT64_MAX;
    app_conn_t *conn;
    app_path_t *path;
    uint32_t slot, left;
    vmp_cmd_t *cmd;
    unsigned i;

    for (slot = 0, left = node->num_conns; left > 0; slot++) {
        conn = node->conns[slot];
        if (conn == NULL) {
            continue;
        }

        left--;
        for (i = 0; i < WORLD_PATHS; i++) {
            path = &conn->paths[i];
            if (path->state != APP_PATH_DOWN) {
                continue;
            }
            if (path->drain_time > world.now) {
                next = (path->drain_time < next) ? path->drain_time : next;
                continue;
            }

            path->qp->is_drained = 1;
            path->state          = APP_PATH_NONE;
            cmd                  = calloc(1, sizeof(*cmd));
            cmd->type            = VMP_CMD_PATH_DRAINED;
            cmd->slot            = slot;
            cmd->incarn          = conn->incarn;
            cmd->path            = i;
            cmd->epoch           = path->epoch;
            vmp_spsc_push(&node->cmds, &cmd->super);
            node->deadline = world.now;
        }
    }

    return next;
}

static int app_compare(unsigned n, unsigned p, unsigned num_paths, int is_check)
{
    uint8_t role  = (n == p) ? 1 : 0;
    app_conn_t *a = app_find(n, world.nodes[p].id, 0, NULL);
    app_conn_t *b = app_find(p, world.nodes[n].id, role, NULL);
    app_path_t *pa, *pb;
    unsigned i, j;

    if (!is_check) {
        for (i = 0; (a != NULL) && (b != NULL) && (i < num_paths); i++) {
            if ((a->paths[i].state != APP_PATH_UP) ||
                (b->paths[i].state != APP_PATH_UP)) {
                return 0;
            }
        }
        return (a != NULL) && (b != NULL) &&
               (a->peer.peer_incarn == b->incarn) &&
               (b->peer.peer_incarn == a->incarn);
    }

    VMP_CHECK((a != NULL) && (b != NULL) && a->is_agreed && b->is_agreed);
    VMP_CHECK((a->peer.peer_incarn == b->incarn) &&
              (b->peer.peer_incarn == a->incarn));
    VMP_CHECK((world.nodes[p].conns[a->peer.peer_conn] == b) &&
              (world.nodes[n].conns[b->peer.peer_conn] == a));
    VMP_CHECK((a->peer.num_paths == b->peer.num_paths) &&
              (a->peer.frame_size == b->peer.frame_size));
    for (i = 0; i < num_paths; i++) {
        pa = &a->paths[i];
        pb = &b->paths[i];
        VMP_CHECK((pa->state == APP_PATH_UP) && (pb->state == APP_PATH_UP));
        VMP_CHECK((pa->epoch == pb->epoch) && (pa->entropy == pb->entropy));
        VMP_CHECK((pa->qp->remote.qpn == pb->qp->qpn) &&
                  (pb->qp->remote.qpn == pa->qp->qpn));
        VMP_CHECK((pa->qp->remote.rq_psn == pb->qp->remote.sq_psn) &&
                  (pb->qp->remote.rq_psn == pa->qp->remote.sq_psn));
        VMP_CHECK((pa->qp->remote.mtu == pb->qp->remote.mtu) &&
                  (pa->qp->remote.max_rd_atomic ==
                   pb->qp->remote.max_rd_atomic));
        VMP_CHECK(pa->qp->remote.entropy == pa->entropy);
        for (j = 0; j < i; j++) {
            VMP_CHECK(vmp_port_udp_sport(pa->entropy) !=
                      vmp_port_udp_sport(a->paths[j].entropy));
        }
    }

    return 1;
}

void app_check_pair(unsigned n, unsigned p, unsigned num_paths)
{
    app_compare(n, p, num_paths, 1);
}

int app_is_pair_up(unsigned n, unsigned p, unsigned num_paths)
{
    return app_compare(n, p, num_paths, 0);
}
