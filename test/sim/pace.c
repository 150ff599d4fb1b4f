/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"

#include "port/sim/sim.h"

/*
 * Time while something lasts: if one path between two hosts carries all the
 * time, and control does, then nothing stands still for long, whatever befalls
 * the other paths.
 */
#define PACE_BASE  100000000ull         /* ns: transfer, messages of control */


/* The device goes on trying (a link that flaps lets something through now and
 * then): only our own timer ends that, ns */
#define PACE_OWN       2000000000ull
#define PACE_NOT_DEAD  ((1ull << FAULT_MUTE) | (1ull << FAULT_SLOW) | \
                        (1ull << FAULT_DELAY) | (1ull << FAULT_LOSS) | \
                        (1ull << FAULT_TWICE) | (1ull << FAULT_LATE) | \
                        (1ull << FAULT_FLAP))


uint64_t pace_bound(const program_t *prog)
{
    const vmp_port_params_t *port = &prog->params.port;

    /* until RC gives up: that is to be the last resort only */
    return PACE_BASE + ((4096ull << port->timeout) * (port->retry_count + 1));
}

static int qp_is_good(vmp_port_qp_t *qp)
{
    const sim_qp_t *pub = sim_qp(qp);

    return (pub->state == SIM_QP_RTS) && !pub->is_mute && !pub->is_stuck &&
           (pub->kill == VMP_WC_SUCCESS) && (sim_qp_link(qp) != NULL) &&
           (sim_qp_link(qp)->mark == 0);
}

static int conn_has_path(const vmp_conn_t *conn, const vmp_conn_t *peer)
{
    uint64_t up = conn->up_mask & peer->up_mask;
    unsigned i;

    for (; up != 0; up &= up - 1) {
        i = __builtin_ctzll(up);
        if ((sim_qp_peer(conn->paths[i]->qp) == peer->paths[i]->qp) &&
            qp_is_good(conn->paths[i]->qp) && qp_is_good(peer->paths[i]->qp)) {
            return 1;
        }
    }

    return 0;
}

static int control_is_good(const inst_t *inst, const inst_t *peer)
{
    unsigned num = world.prog->params.port.num_ud;
    unsigned i;

    for (i = 0; (i < num) &&
         (sim_port_ud_link(inst->iface->port, i, peer->host->index)->mark != 0);
         ++i);
    return i < num;
}

/* Where datagrams are lost by chance, and bursts for want of room in queues,
 * time says nothing */
static int world_is_lossless(void)
{
    const program_t *prog = world.prog;
    unsigned i;

    for (i = 0; (i < prog->num_links) && (prog->links[i].queue == 0); ++i);
    return (i == prog->num_links) && (prog->ud_loss == 0);
}

static int is_good(const inst_t *inst, const vmp_conn_t *conn,
                   const pair_t *pair)
{
    const vmp_conn_t *peer = inspect_peer_conn(conn);
    const inst_t *other    = inspect_peer(conn);

    return (peer != NULL) && (pair->bad_until <= sim_now()) &&
           !((conn->block | peer->block) & (VMP_BLOCK_CLOSED |
                                            VMP_BLOCK_FAILED)) &&
           conn_has_path(conn, peer) && control_is_good(inst, other) &&
           control_is_good(other, inst);
}

void pace_look(const inst_t *inst)
{
    const user_ep_t *ep;
    pair_t *pair;
    unsigned i;

    if (!world.prog->is_faulty || !world_is_lossless()) {
        return;
    }

    for (i = 0; i < WORLD_SLOTS; ++i) {
        ep = inst->host->slots[i];
        if ((ep == NULL) || !ep->is_open || ep->is_lost) {
            continue;
        }

        pair = pair_of_ep(ep);
        if (!is_good(inst, ep->ep.conn, pair)) {
            pair->good_since = 0;
        } else if (pair->good_since == 0) {
            pair->good_since = sim_now();
        }
    }
}

void pace_check(const op_t *op)
{
    const pair_t *pair = pair_of_ep(op->ep);
    uint64_t bound     = world.pace;
    uint64_t since     = op->since;

    if ((pair->good_since == 0) || (op->state != OP_POSTED)) {
        return;
    }

    bound += (pair->happened & PACE_NOT_DEAD) ? PACE_OWN : 0;
    bound += pair_settle_time(pair->happened);
    since  = (pair->good_since > since) ? pair->good_since : since;
    oracle_check((sim_now() - since) <= bound, "pace", "%s stood still for %lu "
                 "us, %lu at most, though a path carried all the time",
                 op_str(op), (unsigned long)((sim_now() - since) / 1000),
                 (unsigned long)(bound / 1000));
}
