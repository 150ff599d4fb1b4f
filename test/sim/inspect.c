/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"

#include "core/vmp_credit.h"
#include "core/vmp_ctl_int.h"
#include "core/vmp_rma.h"

#include "port/sim/sim.h"

#include <inttypes.h>

#define INSPECT_DEEP  16                /* polls between thorough looks */


inst_t *inspect_peer(const vmp_conn_t *conn)
{
    uint64_t id    = conn->peer_id;
    inst_t **known = &world.known[id % WORLD_KNOWN];
    inst_t *inst;

    /* in a crowd a search for each connection would take long */
    if ((*known != NULL) && ((*known)->attr.addr.id == id)) {
        return *known;
    }

    for (inst = world.insts; inst != NULL; inst = inst->next) {
        if (inst->attr.addr.id == id) {
            *known = inst;
            return inst;
        }
    }

    return NULL;
}

/* Other end of a connection, as long as it is there */
vmp_conn_t *inspect_peer_conn(const vmp_conn_t *conn)
{
    inst_t *inst = inspect_peer(conn);

    if ((inst == NULL) || (inst->iface == NULL) || (conn->num_paths == 0)) {
        return NULL;
    }

    return vmp_conn_find(inst->iface, conn->peer_conn, conn->peer_incarn);
}

/* Peers number their connections each for itself: the numbers of two can be the
 * same */
int inspect_is_of(const vmp_conn_t *conn, const op_t *op)
{
    return (op->ep->inst->iface == conn->iface) &&
           (op->ep->target->attr.addr.id == conn->peer_id) &&
           (op->peer_conn == conn->peer_conn) &&
           (op->peer_incarn == conn->peer_incarn);
}

vmp_path_t *inspect_path(const vmp_port_qp_t *qp)
{
    const vmp_conn_t *conn;
    const vmp_link_t *link;
    const inst_t *inst;
    unsigned i;

    for (inst = world.insts; inst != NULL; inst = inst->next) {
        if (inst->iface == NULL) {
            continue;
        }

        vmp_list_for_each(link, &inst->iface->all) {
            conn = vmp_container_of(link, vmp_conn_t, all);
            for (i = 0; i < conn->num_paths; ++i) {
                if ((conn->paths[i] != NULL) && (conn->paths[i]->qp == qp)) {
                    return conn->paths[i];
                }
            }
        }
    }

    return NULL;
}

uint64_t inspect_path_of(const vmp_conn_t *conn, uint64_t sn)
{
    const vmp_path_t *path;
    const vmp_wr_t *wr;
    unsigned i;

    for (i = 0; i < conn->num_paths; ++i) {
        path = conn->paths[i];
        if ((path == NULL) || (path->head == path->tail)) {
            continue;
        }

        wr = &path->ring[(path->head - 1) & path->mask];
        if ((wr->kind == VMP_WR_AM) && (wr->sn == sn)) {
            return path->wr_id;
        }
    }

    return 0;
}

/* R9: what may be sent is what was granted, and no message is ahead of it */
static void inspect_credit(const inst_t *inst, const vmp_conn_t *conn)
{
    const vmp_conn_t *peer = inspect_peer_conn(conn);
    unsigned host          = inst->host->index;

    oracle_check((conn->num_paths == 0) || (conn->tx_sn <= conn->tx_limit),
                 "credit", "host %u sent message %" PRIu64 ", and may send "
                 "those below %" PRIu64, host, conn->tx_sn - 1,
                 conn->tx_limit);
    if (peer == NULL) {
        return;
    }

    oracle_check(conn->tx_limit <= peer->rx_told, "credit", "host %u may send "
                 "messages below %" PRIu64 ", but was told %" PRIu64, host,
                 conn->tx_limit, peer->rx_told);
    oracle_check(peer->rx_next <= conn->tx_sn, "sn", "host %u sent %" PRIu64
                 " messages, its peer delivered %" PRIu64, host, conn->tx_sn,
                 peer->rx_next);
    oracle_check(conn->tx_delivered <= peer->rx_next, "sn", "host %u believes "
                 "that %" PRIu64 " messages were delivered, not %" PRIu64,
                 host, conn->tx_delivered, peer->rx_next);
}

static void inspect_window(const inst_t *inst, const vmp_conn_t *conn)
{
    const vmp_iface_params_t *params = &world.prog->params;
    unsigned host                    = inst->host->index;

    oracle_check((conn->rx_window >= params->rx_window_min) &&
                 (conn->rx_window <= params->rx_window_max), "bound",
                 "host %u: receive window of %u messages, %u to %u are set",
                 host, conn->rx_window, params->rx_window_min,
                 params->rx_window_max);
    oracle_check(conn->rx_num_held < conn->rx_window, "bound", "host %u holds "
                 "%u messages, window %u", host, conn->rx_num_held,
                 conn->rx_window);
    oracle_check(conn->rx_told <= (conn->rx_next + conn->rx_window), "bound",
                 "host %u told its peer %" PRIu64 ", more than it takes", host,
                 conn->rx_told);
}

/* Operations that wait are counted, and not more than are set */
static void inspect_ops(const inst_t *inst, const vmp_conn_t *conn)
{
    const vmp_link_t *link;
    uint32_t num = 0;

    vmp_list_for_each(link, &conn->ops) {
        ++num;
    }

    oracle_check(num == conn->num_ops, "leak", "host %u: %u operations wait, "
                 "%u in the books", inst->host->index, num, conn->num_ops);
    oracle_check(num <= inst->iface->attr.sq_depth, "bound", "host %u: %u "
                 "operations wait, %u at most", inst->host->index, num,
                 inst->iface->attr.sq_depth);
}

static unsigned queue_length(const vmp_spsc_t *queue)
{
    const vmp_spsc_node_t *node = queue->tail;
    unsigned length             = 0;

    while ((node = atomic_load(&node->next)) != NULL) {
        ++length;
    }

    return length;
}

static unsigned pool_free(const vmp_obj_pool_t *pool)
{
    unsigned num = 0;
    const vmp_obj_t *obj;

    for (obj = pool->free; obj != NULL; obj = obj->next) {
        ++num;
    }

    return num;
}

/* Sums over connections and paths against the interface's books */
static void inspect_books(const inst_t *inst)
{
    const vmp_iface_t *iface = inst->iface;
    uint64_t outstanding     = 0;
    uint32_t credit          = 0;
    uint32_t posted          = 0;
    uint32_t held            = 0;
    uint32_t unsig           = 0;
    unsigned paths           = 0;
    unsigned slots           = 0;
    unsigned conns           = 0;
    unsigned host            = inst->host->index;
    const vmp_rail_t *rail   = &iface->rails[0];
    const vmp_conn_t *conn;
    const vmp_path_t *path;
    vmp_link_t *link;
    unsigned i;

    bounds_inspect(inst);
    vmp_list_for_each(link, &iface->all) {
        conn         = vmp_container_of(link, vmp_conn_t, all);
        outstanding += conn->outstanding;
        credit      += conn->rx_window;
        held        += conn->rx_num_held;
        inspect_ops(inst, conn);
        slots += conn->num_paths;
        ++conns;
        for (i = 0; i < conn->num_paths; ++i) {
            path = conn->paths[i];
            if (path != NULL) {
                posted += path->head - path->tail;
                unsig  += path->unsig;
                ++paths;
            }
        }
    }

    if (!vmp_list_is_empty(&iface->dead)) {
        return;
    }

    oracle_check(outstanding == iface->outstanding, "leak", "host %u: %" PRIu64
                 " operations in flight, %" PRIu64 " in the books", host,
                 outstanding, iface->outstanding);
    oracle_check(credit == iface->credit_used, "leak", "host %u: %u credits "
                 "granted, %u in the books", host, credit, iface->credit_used);
    oracle_check((posted + rail->cq_avail + rail->cq_lost) ==
                 iface->attr.cq_depth, "leak", "host %u: %u posted, %u of %u "
                 "CQ slots free, %u lost", host, posted, rail->cq_avail,
                 iface->attr.cq_depth, rail->cq_lost);
    oracle_check((rail->cq_lost == 0) || pair_may_lose_cq(inst), "leak",
                 "host %u: %u CQ slots lost", host, rail->cq_lost);
    oracle_check(unsig == rail->unsig, "leak", "host %u: %u unsignalled, %u in "
                 "the books", host, unsig, rail->unsig);
    oracle_check(rail->rx_held <= held, "leak", "host %u: %u buffers held, %u "
                 "messages", host, rail->rx_held, held);
    oracle_check(rail->rx_held <= rail->rx_held_max, "bound", "host %u: %u "
                 "buffers held, %u at most", host, rail->rx_held,
                 rail->rx_held_max);
    oracle_check(rail->srq_posted <= rail->srq_depth, "bound", "host %u: %u "
                 "receive buffers posted, %u at most", host, rail->srq_posted,
                 rail->srq_depth);
    oracle_check(rail->srq_posted == sim_port_srq_held(iface->port, 0), "leak",
                 "host %u: %u receive buffers posted, the device has %u", host,
                 rail->srq_posted, sim_port_srq_held(iface->port, 0));
    oracle_check(iface->num_waiting <= WORLD_SLOTS, "bound", "host %u: %u "
                 "endpoints wait", host, iface->num_waiting);

    /* the queues to and from control carry a few entries a path */
    oracle_check(queue_length(&iface->cmds) <= (64 + (8 * (conns + paths))),
                 "bound", "host %u: %u commands queued", host,
                 queue_length(&iface->cmds));
    oracle_check(queue_length(&iface->evs) <= (512 + (8 * (conns + paths))),
                 "bound", "host %u: %u events queued", host,
                 queue_length(&iface->evs));

    /* nor are there more dead QPs than control keeps; of connections that are
     * yet to be heard of it has some, too */
    oracle_check((queue_length(&iface->evs) > 0) ||
                 (sim_port_num_qps(iface->port) <=
                  (slots + (conns * VMP_CTL_MAX_DYING))), "bound", "host %u: "
                 "%u QPs for %u connections with %u paths", host,
                 sim_port_num_qps(iface->port), conns, slots);
}

/* It failed: messages that had arrived may be dropped */
static void inspect_lost(const inst_t *inst, const vmp_conn_t *conn)
{
    const inst_t *peer = inspect_peer(conn);

    if (peer != NULL) {
        pair_lossy(inst->host->index, peer->host->index);
    }
}

/* A connection has begun when both sides may send */
static void inspect_eps(const inst_t *inst)
{
    const vmp_conn_t *peer;
    user_ep_t *ep;
    unsigned i;

    for (i = 0; i < WORLD_SLOTS; ++i) {
        ep = inst->host->slots[i];
        if ((ep == NULL) || !ep->is_open || ep->was_up ||
            (ep->ep.conn->up_mask == 0)) {
            continue;
        }

        peer       = inspect_peer_conn(ep->ep.conn);
        ep->was_up = (peer != NULL) && (peer->up_mask != 0);
    }
}

void inspect_inst(inst_t *inst)
{
    const vmp_iface_t *iface = inst->iface;
    int is_deep              = (inst->num_polls++ % INSPECT_DEEP) == 0;
    const vmp_conn_t *conn;
    vmp_link_t *link;

    inspect_eps(inst);
    vmp_list_for_each(link, &iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        if (conn->block & VMP_BLOCK_FAILED) {
            inspect_lost(inst, conn);
            continue;
        }

        inspect_credit(inst, conn);
        inspect_window(inst, conn);
        if (is_deep || (conn->deepen > 0)) {
            bounds_conn(inst, conn, is_deep);
        }
    }

    vmp_list_for_each(link, &iface->dead) {
        inspect_lost(inst, vmp_container_of(link, vmp_conn_t, all));
    }

    if (is_deep) {
        inspect_books(inst);
    }
}

/* Send buffers that are posted: also after a flush, which waits for no
 * CREDIT */
static unsigned path_bufs(const vmp_path_t *path)
{
    unsigned num = 0;
    uint32_t pos;

    for (pos = path->tail; pos != path->head; ++pos) {
        num += (path->ring[pos & path->mask].buf != NULL);
    }

    return num;
}

/* All paths that either side wanted carry, and have shown it. What devices
 * refused from the beginning on need not be there. */
static int inspect_conn_paths(const vmp_conn_t *conn, const vmp_conn_t *peer,
                              const pair_t *pair)
{
    unsigned want   = (conn->want_sent || peer->want_sent) ?
                      conn->num_paths : 1;
    int may_miss    = (pair->happened & ((1ull << FAULT_NO_QP) |
                                         (1ull << FAULT_NO_CONNECT))) != 0;
    uint64_t up     = conn->up_mask & peer->up_mask;
    unsigned i;
    const vmp_path_t *path;

    for (i = 0; i < want; ++i) {
        path = conn->paths[i];
        if ((path == NULL) || (peer->paths[i] == NULL) || !(up & (1ull << i))) {
            if (!may_miss || (conn->gone_epochs[i] > 1) ||
                (peer->gone_epochs[i] > 1)) {
                return 0;
            }
        } else if ((sim_qp_peer(path->qp) != peer->paths[i]->qp) ||
                   (sim_qp(path->qp)->state != SIM_QP_RTS) ||
                   ((sim_qp(path->qp)->num_wrs == 0) &&
                    ((i > 0) || (path->epoch > 1)))) {
            return 0;
        }
    }

    return 1;
}

int inspect_paths(const inst_t *inst, unsigned *peer_p)
{
    const vmp_conn_t *conn;
    const vmp_conn_t *peer;
    const vmp_link_t *link;
    const pair_t *pair;

    vmp_list_for_each(link, &inst->iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        peer = inspect_peer_conn(conn);
        if ((peer == NULL) || ((conn->num_eps == 0) && (peer->num_eps == 0)) ||
            ((conn->block | peer->block) & (VMP_BLOCK_FAILED |
                                            VMP_BLOCK_CLOSED))) {
            continue;
        }

        *peer_p = inspect_peer(conn)->host->index;
        pair    = pair_of(inst->host->index, *peer_p);
        if (!pair->is_stuck && !inspect_conn_paths(conn, peer, pair)) {
            return 0;
        }
    }

    return 1;
}

int inspect_busy(const inst_t *inst, unsigned *peer_p)
{
    const vmp_conn_t *conn;
    const vmp_link_t *link;
    const inst_t *peer;

    vmp_list_for_each(link, &inst->iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        peer = inspect_peer(conn);
        if ((conn->outstanding > 0) && (peer != NULL) &&
            !pair_of(inst->host->index, peer->host->index)->is_stuck) {
            *peer_p = peer->host->index;
            return 1;
        }
    }

    return 0;
}

/* The rest of its host's books is wrong by what is stuck there */
static void inspect_idle_conns(const inst_t *inst)
{
    unsigned peer;

    oracle_check(!inspect_busy(inst, &peer), "leak", "host %u: operations in "
                 "flight to host %u after flushes", inst->host->index, peer);
}

/* What was on its way to somebody who is gone, and of whom nobody says so,
 * waits for a path until the connection is given up */
static unsigned inspect_waiting_bufs(const vmp_iface_t *iface)
{
    unsigned num = 0;
    const vmp_link_t *link;
    const vmp_path_t *path;

    vmp_list_for_each(link, &iface->replaying) {
        path = vmp_container_of(link, vmp_path_t, draining);
        num += (inspect_peer_conn(path->conn) == NULL) ? path_bufs(path) : 0;
    }

    return num;
}

void inspect_idle(inst_t *inst)
{
    vmp_iface_t *iface     = inst->iface;
    const vmp_rail_t *rail = &iface->rails[0];
    unsigned host          = inst->host->index;
    unsigned held          = 0;
    unsigned bufs          = 0;
    unsigned conns         = 0;
    vmp_conn_t *conn;
    vmp_link_t *link;
    unsigned i;

    inspect_books(inst);
    inspect_idle_conns(inst);
    if (inst->host->is_stuck) {
        return;
    }

    vmp_list_for_each(link, &iface->all) {
        conn  = vmp_container_of(link, vmp_conn_t, all);
        /* what a peer that closed left incomplete goes with the connection; and
         * one that failed there may not know yet */
        if (!(conn->block & VMP_BLOCK_CLOSED) &&
            (!world.prog->is_faulty || (inspect_peer_conn(conn) != NULL))) {
            held += conn->rx_num_held;
        }

        ++conns;
        for (i = 0; i < conn->num_paths; ++i) {
            if (conn->paths[i] != NULL) {
                bufs += path_bufs(conn->paths[i]);
            }
        }
    }

    bufs += inspect_waiting_bufs(iface);

    /* those that the next progress frees */
    vmp_list_for_each(link, &iface->dead) {
        ++conns;
    }

    oracle_check(iface->outstanding == 0, "leak", "host %u: %" PRIu64
                 " operations in flight after flushes", host,
                 iface->outstanding);
    oracle_check(iface->chunks == 0, "leak", "host %u: %" PRIu64 " chunks in "
                 "flight after flushes", host, iface->chunks);
    oracle_check(held == 0, "leak", "host %u holds %u messages", host, held);
    oracle_check(iface->num_waiting == 0, "leak", "host %u: %u endpoints wait "
                 "for nothing", host, iface->num_waiting);
    oracle_check(pool_free(&iface->op_pool) == iface->op_pool.total, "leak",
                 "host %u: operations are missing in their pool", host);
    oracle_check(pool_free(&iface->waiter_pool) == iface->waiter_pool.total,
                 "leak", "host %u: waiters are missing in their pool", host);
    oracle_check((pool_free(&iface->barrier_pool) + conns) ==
                 iface->barrier_pool.total, "leak", "host %u: %u barriers free "
                 "of %u, %u connections", host,
                 pool_free(&iface->barrier_pool), iface->barrier_pool.total,
                 conns);
    oracle_check((iface->tx_bufs.num_free + bufs) == iface->tx_bufs.total,
                 "leak", "host %u: %u of %u send buffers free, %u posted",
                 host, iface->tx_bufs.num_free, iface->tx_bufs.total, bufs);
    oracle_check((iface->rx.pool.num_free + rail->srq_posted +
                  rail->rx_held) == iface->rx.pool.total, "leak",
                 "host %u: %u of %u receive buffers free, %u posted", host,
                 iface->rx.pool.num_free, iface->rx.pool.total,
                 rail->srq_posted);
    oracle_check((rail->srq_posted + rail->srq_batch) > rail->srq_depth,
                 "leak", "host %u: %u receive buffers posted of %u", host,
                 rail->srq_posted, rail->srq_depth);
}

void inspect_long(void)
{
    unsigned qps;
    unsigned paths;
    unsigned half;                      /* being made, if nobody answers */
    unsigned i;
    vmp_link_t *link;
    inst_t *inst;
    vmp_conn_t *conn;

    for (inst = world.insts; inst != NULL; inst = inst->next) {
        if (inst->iface == NULL) {
            continue;
        }

        qps   = sim_port_num_qps(inst->iface->port);
        paths = 0;
        half  = 0;
        vmp_list_for_each(link, &inst->iface->all) {
            conn = vmp_container_of(link, vmp_conn_t, all);
            for (i = 0; i < conn->num_paths; ++i) {
                paths += (conn->paths[i] != NULL);
                half  += (conn->paths[i] == NULL) &&
                         (world.prog->is_faulty || conn->want_sent ||
                          (conn->num_eps > 0));
            }
        }

        oracle_check((qps >= paths) && (qps <= (paths + half)), "leak",
                     "host %u has %u QPs for %u paths", inst->host->index, qps,
                     paths);
    }
}

void inspect_dump(const inst_t *inst)
{
    const vmp_iface_t *iface = inst->iface;
    const vmp_conn_t *conn;
    const vmp_path_t *path;
    vmp_link_t *link;
    unsigned i;

    printf("  h%u.%u: outstanding %lu chunks %lu waiting %u cq %u srq %u gen "
           "%lu/%lu\n", inst->host->index, inst->gen,
           (unsigned long)iface->outstanding, (unsigned long)iface->chunks,
           iface->num_waiting, iface->rails[0].cq_avail,
           iface->rails[0].srq_posted, (unsigned long)iface->gen,
           (unsigned long)iface->ready_gen);
    vmp_list_for_each(link, &iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        printf("    conn to %016lx block %x out %lu tx %lu/%lu/%lu rx %lu told "
               "%lu window %u held %u eps %u up %lx eligible %lx%s%s\n",
               (unsigned long)conn->peer_id, conn->block,
               (unsigned long)conn->outstanding, (unsigned long)conn->tx_sn,
               (unsigned long)conn->tx_limit,
               (unsigned long)conn->tx_delivered, (unsigned long)conn->rx_next,
               (unsigned long)conn->rx_told, conn->rx_window,
               conn->rx_num_held, conn->num_eps, (unsigned long)conn->up_mask,
               (unsigned long)conn->eligible, conn->is_pinned ? " pinned" : "",
               vmp_list_is_empty(&conn->ops) ? "" : " chunks wait");
        for (i = 0; i < conn->num_paths; ++i) {
            path = conn->paths[i];
            if (path != NULL) {
                printf("      path %u state %u head %u tail %u unsig %u "
                       "inflight %u window %u qp %u\n", i, path->state,
                       path->head, path->tail, path->unsig,
                       path->pol->inflight, path->pol->window,
                       sim_qp(path->qp)->state);
            }
        }
    }
}
