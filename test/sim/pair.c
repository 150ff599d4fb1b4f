/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include "core/vmp_rma.h"

#include "port/sim/sim.h"

#include <stdlib.h>

/*
 * What befell each pair of hosts, and what may follow from it: which endpoints
 * may be lost (R5, R8), and what is known not to work (expected.c). Whatever is
 * excused is so for the two hosts concerned, and by one rule.
 */
#define PAIR_OWN_LOCAL   2              /* a local error ends the endpoint, */
#define PAIR_OWN_REMOTE  1              /* the peer's when it comes again */

#define PAIR_DEATHS      6

#define BIT(_kind)       (1ull << FAULT_##_kind)

/* ns, see pair_bound() */
#define MSEC          1000000ull
#define PAIR_BASE     (50 * MSEC)       /* polls, transfer, datagrams */
#define PAIR_CONTROL  (2250 * MSEC)     /* back-off and an eighth, of both sides
                                           one after the other */
#define PAIR_REPAIR   (800 * MSEC)
#define PAIR_REPAIR_MIN (20 * MSEC)
#define PAIR_SETTLE   (1100 * MSEC)     /* late-err, and no event: the port's
                                           500 ms, of both sides one after the
                                           other */
#define PAIR_IDLE     (1000 * MSEC)     /* between probes */
#define PAIR_UD_LOSS  (400 * MSEC)      /* control's, by chance alone: a few */


void pairs_init(void)
{
    unsigned num = world.prog->num_hosts;

    world.pairs = calloc(num * num, sizeof(*world.pairs));
}

void pairs_cleanup(void)
{
    free(world.pairs);
    world.pairs = NULL;
}

pair_t *pair_of(unsigned from, unsigned to)
{
    return &world.pairs[(from * world.prog->num_hosts) + to];
}

pair_t *pair_of_ep(const user_ep_t *ep)
{
    return pair_of(ep->inst->host->index, ep->target->host->index);
}


/* Accidents ---------------------------------------------------------------- */

static int is_concerned(const fault_t *fault, unsigned a, unsigned b)
{
    int is_one = (fault->host == a) || (fault->host == b);

    if ((fault->kind < FAULT_BREAK) && (fault->host == fault->peer)) {
        return 1;                       /* also datagrams of everybody */
    }

    if (((fault->kind >= FAULT_CTL_LOSS) && (fault->kind <= FAULT_CTL_LATE)) ||
        ((fault->kind >= FAULT_LATE_ERR) && (fault->kind < FAULT_STALL))) {
        return 1;                       /* all devices */
    }

    return (fault->kind >= FAULT_STALL) ? is_one :
           ((fault->host == a) && (fault->peer == b)) ||
           ((fault->host == b) && (fault->peer == a));
}

/* So long that the peer's time may be over */
static int is_long(const fault_t *fault)
{
    return fault->size >= (world.prog->params.peer_timeout_ns / 2);
}

/* For how long it takes all ways away, or the devices' word, ns */
static uint64_t bad_time(const fault_t *fault)
{
    switch (fault->kind) {
    case FAULT_ADDRESS:
    case FAULT_SILENT:
    case FAULT_STUCK:
        return UINT64_MAX / 2;
    case FAULT_LATE_ERR:
    case FAULT_LATE_LAST:
    case FAULT_NO_LAST:
        return fault->size + PAIR_SETTLE;
    case FAULT_CTL_LATE:
        return fault->size + (fault->arg * 1000ull);
    case FAULT_UNPLUG:
    case FAULT_EARLY:
        return fault->size + (fault->arg * 1000ull);
    case FAULT_KILL:
    case FAULT_DEVICE:
    case FAULT_CQ:
    case FAULT_BLACKOUT:
    case FAULT_OUTAGE:
    case FAULT_GONE:
    case FAULT_CTL_LOSS:
    case FAULT_CTL_HOLE:
    case FAULT_RNR:
    case FAULT_NO_POST:
    case FAULT_STALL:
    case FAULT_HELPER:
    case FAULT_FREEZE:
        return fault->size;
    default:
        return 0;
    }
}

static void pair_accident_one(pair_t *pair, const fault_t *fault)
{
    uint64_t bad = world_now() + bad_time(fault);

    told_accident(pair, fault);
    pair->happened  |= 1ull << fault->kind;
    pair->num_deaths += (fault->kind >= FAULT_BREAK) &&
                        (fault->kind <= FAULT_STUCK) &&
                        (pair->num_deaths < PAIR_DEATHS);
    pair->bad_until  = (bad > pair->bad_until) ? bad : pair->bad_until;
    pair->good_since = (bad > world_now()) ? 0 : pair->good_since;
    switch (fault->kind) {
    case FAULT_OUTAGE:
    case FAULT_GONE:
        break;                          /* see told.c */
    case FAULT_STUCK:
        pair->may_fail = 1;
        break;
    case FAULT_NO_QP:
    case FAULT_NO_CONNECT:
        pair->may_not_begin = 1;
        break;
    default:
        /* who does not answer at all cannot be told from who is not there */
        pair->may_fail      |= (fault->kind == FAULT_DEVICE) && is_long(fault);
        pair->may_not_begin |= is_long(fault);
        break;
    }
}

/* Completions of a QP that cannot be moved to ERR, or to which no marker can be
 * posted, are not waited for */
static int may_lose_cq(const fault_t *fault)
{
    return (fault->kind == FAULT_STUCK) || (fault->kind == FAULT_NO_POST);
}

/* Nor are those of a CQ that has failed, of this interface and no other one */
int pair_may_lose_cq(const inst_t *inst)
{
    return inst->host->may_lose_cq || inst->is_broken;
}

void pair_accident(const fault_t *fault)
{
    unsigned a, b;

    for (a = 0; a < world.prog->num_hosts; ++a) {
        for (b = 0; b < world.prog->num_hosts; ++b) {
            if (is_concerned(fault, a, b)) {
                pair_accident_one(pair_of(a, b), fault);
                world.hosts[a].is_hurt      = 1;
                world.hosts[b].is_hurt      = 1;
                world.hosts[a].may_lose_cq |= may_lose_cq(fault);
                world.hosts[b].may_lose_cq |= may_lose_cq(fault);
            }
        }
    }
}


/* What may be -------------------------------------------------------------- */

int pair_excuses(pair_t *pair, const char *rule)
{
    return world.prog->is_faulty && expected_failure(pair->happened, rule);
}

/* An endpoint has lost a message by its own fault, and sent a later one on
 * another path, where nobody can call it back: its connection has to go, or the
 * peer would get what is behind the gap (R1) */
static int pair_is_overtaken(const user_ep_t *ep)
{
    uint64_t path = 0;
    const op_t *op;
    uint32_t i;

    for (i = 0; ep->is_gap && (i < ep->num_msgs); ++i) {
        op = ep->msgs[i];
        if ((op->peer_conn != ep->gap_conn) ||
            (op->peer_incarn != ep->gap_incarn) || (op->sn < ep->gap_sn)) {
            continue;
        }

        path = (op->sn == ep->gap_sn) ? op->path : path;
        if (op->path != path) {
            return 1;
        }
    }

    return 0;
}

/* Whether it stands on the connection on which that happened, at either end */
static int pair_is_with(const user_ep_t *ep, const user_ep_t *other)
{
    const vmp_conn_t *conn = ep->ep.conn;

    if (!ep->is_open || (conn == NULL)) {
        return 0;
    }

    return ((ep->inst == other->inst) && (ep->target == other->target) &&
            (conn->peer_conn == other->gap_conn) &&
            (conn->peer_incarn == other->gap_incarn)) ||
           ((ep->inst == other->target) && (ep->target == other->inst) &&
            (conn->slot == other->gap_conn) &&
            (conn->incarn == other->gap_incarn));
}

static int pair_is_lost_with_other(const user_ep_t *ep)
{
    const user_ep_t *other;
    unsigned i;

    for (i = 0; i < world.num_eps; ++i) {
        other = world.eps[i];
        if (other->is_gap && pair_is_with(ep, other) &&
            pair_is_overtaken(other)) {
            return 1;
        }
    }

    return 0;
}

/* One of the two has moved and cannot know, so that nothing gets through: in
 * the end the connection is lost for both (R5) */
static int pair_is_blind(unsigned a, unsigned b)
{
    return found_is_blind(&world.hosts[a]) || found_is_blind(&world.hosts[b]);
}

int pair_may_fail(const user_ep_t *ep)
{
    unsigned from = ep->inst->host->index;
    unsigned to   = ep->target->host->index;
    pair_t *pair  = pair_of(from, to);

    if (pair->may_fail || ep->is_cut_off || ep->target->is_closed ||
        ep->inst->is_closed || ep->inst->is_broken ||
        (ep->target->is_broken & BROKEN_CQ) ||
        (pair->may_not_begin && !ep->was_up) ||
        (ep->blame >= PAIR_OWN_LOCAL) || told_is_due(ep) ||
        pair_is_lost_with_other(ep)) {
        return 1;
    }

    if (pair_excuses(pair, "failure") || pair_is_blind(from, to)) {
        /* a connection is lost for both */
        pair->may_fail             = 1;
        pair_of(to, from)->may_fail = 1;
    }

    return pair->may_fail;
}

/* A message, by its SN; or NULL */
static op_t *find_message(const vmp_conn_t *conn, const vmp_wr_t *wr)
{
    unsigned i;
    op_t *op;

    for (i = 0; i < world.num_ops; ++i) {
        op = world.ops[i];
        if ((op->type >= ACT_AM_SHORT) && (op->type <= ACT_AM_ZCOPY) &&
            inspect_is_of(conn, op) && (op->sn == (uint32_t)wr->sn)) {
            return op;
        }
    }

    return NULL;
}

static int pair_is_of(const vmp_wr_t *wr, const user_ep_t *ep)
{
    return (wr->kind == VMP_WR_AM) && ((const user_ep_t*)wr->ep == ep);
}

/* What an endpoint has on a path from a request on is lost with it */
static void pair_gap(user_ep_t *ep, const vmp_path_t *path, const vmp_wr_t *wr)
{
    const vmp_conn_t *conn = path->conn;
    uint32_t slot          = wr - path->ring;
    uint32_t pos           = path->tail + ((slot - path->tail) & path->mask);

    for (; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if (pair_is_of(wr, ep) && (!ep->is_gap || (wr->sn < ep->gap_sn))) {
            ep->is_gap     = 1;
            ep->gap_conn   = conn->peer_conn;
            ep->gap_incarn = conn->peer_incarn;
            ep->gap_sn     = wr->sn;
            return;
        }
    }
}

/* A QP fails by itself: is an operation to blame, and whose (R8)? */
void pair_qp_failed(void *arg, vmp_port_qp_t *qp, uint64_t wr_id,
                    vmp_wc_status_t status)
{
    vmp_path_t *path = inspect_path(qp);
    uint8_t blame    = (status == VMP_WC_LOC_ERR) ? PAIR_OWN_LOCAL :
                                                    PAIR_OWN_REMOTE;
    const vmp_wr_t *wr;
    user_ep_t *ep;
    op_t *op;

    (void)arg;
    effect_qp_failed(qp, status);
    if ((path == NULL) || (status < VMP_WC_LOC_ERR) ||
        (status > VMP_WC_REM_OP)) {
        return;
    }

    wr = &path->ring[wr_id & path->mask];
    ep = (user_ep_t*)(vmp_wr_is_chunk(wr->kind) ?
                      ((const vmp_op_t*)wr->comp)->ep : wr->ep);
    if ((ep != NULL) && !vmp_wr_is_ctrl(wr->kind)) {
        ep->blame += blame;
        trace("  %s had the request that failed: %s", ep_str(ep),
              vmp_wc_status_str(status));
        if (ep->blame >= PAIR_OWN_LOCAL) {
            pair_gap(ep, path, wr);
        }
    }

    /* a local one as well, if the endpoint is gone when the core hears of it:
     * it is sent again from a copy */
    op = (wr->kind == VMP_WR_AM) ? find_message(path->conn, wr) : NULL;
    if ((op != NULL) && ((op->blame += PAIR_OWN_REMOTE) >= PAIR_OWN_LOCAL) &&
        !op->ep->is_open) {
        op->state   = OP_ORPHAN;
        op->is_lost = 1;
    }
}

void pair_lossy(unsigned a, unsigned b)
{
    pair_of(a, b)->is_lossy = 1;
    pair_of(b, a)->is_lossy = 1;
}

void pair_give_up(unsigned a, unsigned b)
{
    trace("h%u and h%u do not recover, as is known", a, b);
    pair_of(a, b)->is_stuck = 1;
    pair_of(b, a)->is_stuck = 1;
    world.hosts[a].is_stuck = 1;
    world.hosts[b].is_stuck = 1;
}

static void pair_backlog(unsigned from, unsigned to)
{
    pair_t *pair = pair_of(from, to);
    uint64_t now = world_now();
    uint64_t end;
    unsigned i;

    for (i = 0; i < world.prog->num_links; ++i) {
        end = sim_link(from, to, i)->busy_until;
        if ((end > now) && ((end - now) > pair->backlog)) {
            pair->backlog              = end - now;
            pair_of(to, from)->backlog = end - now;
        }
    }
}

void pairs_end(void)
{
    unsigned from, to;

    for (from = 0; from < world.prog->num_hosts; ++from) {
        for (to = 0; to < world.prog->num_hosts; ++to) {
            pair_backlog(from, to);
        }
    }
}

void pairs_closed(unsigned host)
{
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        pair_of(i, host)->has_closed = 1;
        pair_of(host, i)->has_closed = 1;
    }
}

void pairs_healed(void)
{
    unsigned num = world.prog->num_hosts * world.prog->num_hosts;
    unsigned i;

    for (i = 0; i < num; ++i) {
        /* that QP may not have been used since */
        world.pairs[i].may_fail      = (world.pairs[i].happened >>
                                        FAULT_STUCK) & 1;
        world.pairs[i].may_not_begin = 0;
        world.pairs[i].gone_since    = 0;
    }
}


/* How long it may take ----------------------------------------------------- */

/*
 * From the end of the last accident on, by whose timers may have to run out.
 * Nothing is lost any more.
 *
 *   device   RC repeats once more; or, if the peer's QP is gone and silent,
 *            until it gives up
 *   control  its last repetition may just have been lost
 *   repair   the last try to bring a path up may just have failed
 *   settle   QPs that go to ERR late, and do not say so
 */
/* Both control and paths do not get through */
#define PAIR_OF_LINKS (BIT(CUT) | BIT(ONE_WAY) | BIT(FLAP) | BIT(SLOW) | \
                       BIT(DELAY) | BIT(LOSS) | BIT(TWICE) | BIT(LATE) | \
                       BIT(BLACKOUT) | BIT(OUTAGE) | BIT(UNPLUG) | \
                       BIT(EARLY) | BIT(ADDRESS) | BIT(SILENT) | BIT(DEVICE) | \
                       BIT(CQ) | BIT(KILL) | BIT(GONE))
#define PAIR_OF_CTL   (PAIR_OF_LINKS | BIT(CTL_LOSS) | BIT(CTL_LATE) | \
                       BIT(CTL_HOLE) | BIT(HELPER) | BIT(FREEZE) | \
                       BIT(NO_QP) | BIT(NO_CONNECT))
#define PAIR_OF_MAKE  (PAIR_OF_LINKS | BIT(NO_QP) | BIT(NO_CONNECT) | \
                       BIT(NO_POST))
#define PAIR_OF_DEATH (BIT(LATE_ERR) | BIT(LATE_LAST) | BIT(NO_LAST) | \
                       BIT(STUCK))

/* The device's timeout */
static uint64_t device_timeout(void)
{
    return 4096ull << world.prog->params.port.timeout;
}

/* Before a path is brought up again that has died so often: twice, since
 * control looks at it when it repeats itself */
static uint64_t backoff(const pair_t *pair)
{
    uint64_t time = (2 * PAIR_REPAIR_MIN) << pair->num_deaths;

    return (pair->num_deaths == 0) ? 0 :
           (time < PAIR_REPAIR) ? time : PAIR_REPAIR;
}

/* What happened to a pair, and to others that the same host sends to: they may
 * hold its send buffers until their paths are back */
static uint64_t pair_happened(const pair_t *pair)
{
    unsigned from     = (pair - world.pairs) / world.prog->num_hosts;
    uint64_t happened = 0;
    unsigned i;

    for (i = 0; i < world.prog->num_hosts; ++i) {
        happened |= pair_of(from, i)->happened;
    }

    return happened;
}

/* Until a host notices that it has moved; or its peers give up */
static uint64_t pair_blind_time(unsigned index)
{
    host_t *host = &world.hosts[index];

    if (found_is_blind(host) && host->is_blind) {
        return world.prog->params.peer_timeout_ns;
    }

    return (host->seen > world.healed) ? host->seen - world.healed : 0;
}

/* A QP that died while devices were late may be found dead after that is over,
 * and settles from then on */
uint64_t pair_settle_time(uint64_t happened)
{
    return (happened & PAIR_OF_DEATH) ? PAIR_SETTLE : 0;
}

uint64_t pair_bound(const pair_t *pair)
{
    const vmp_port_params_t *port = &world.prog->params.port;
    unsigned index                = pair - world.pairs;
    uint64_t happened             = pair_happened(pair);
    uint64_t bound                = PAIR_BASE + device_timeout();

    /* also of others, whose dead paths hold what all share: CQ slots */
    if (world.hosts[index / world.prog->num_hosts].is_hurt ||
        world.hosts[index % world.prog->num_hosts].is_hurt) {
        bound += device_timeout() * port->retry_count;
    }

    bound += (happened & PAIR_OF_CTL) ? PAIR_CONTROL :
             (world.prog->ud_loss > 0) ? PAIR_UD_LOSS : 0;
    bound += (happened & PAIR_OF_MAKE) ? PAIR_REPAIR : backoff(pair);
    bound += pair_settle_time(happened);
    /* who waits for credit asks its path now and then */
    bound += ((happened & (BIT(OUTAGE) | BIT(GONE))) || pair->is_cut_off) ?
             PAIR_IDLE : 0;
    bound += 2 * pair->backlog;
    bound += pair_blind_time(index / world.prog->num_hosts);
    bound += pair_blind_time(index % world.prog->num_hosts);
    if (pair->is_cut_off) {
        /* R5: from the next operation on */
        bound += world.prog->params.peer_timeout_ns;
    } else if (pair->has_closed && ((happened & PAIR_OF_CTL) ||
                             (world.prog->ud_loss > 0))) {
        /* its last words may have been lost: nobody is there to answer */
        bound += world.prog->params.peer_timeout_ns;
    }

    return bound;
}
