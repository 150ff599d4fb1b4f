/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"
#include "trace.h"

#include <string.h>


const char *ep_str(const user_ep_t *ep)
{
    static char bufs[4][64];
    static unsigned next;
    char *buf = bufs[next++ % 4];

    snprintf(buf, sizeof(bufs[0]), "ep%u(h%u.%u->h%u.%u)", ep->id,
             ep->inst->host->index, ep->inst->gen, ep->target->host->index,
             ep->target->gen);
    return buf;
}

const char *op_str(const op_t *op)
{
    static const char *const states[] = {"queued", "posted", "done", "failed",
                                         "orphan"};
    static char bufs[8][160];
    static unsigned next;
    char *buf = bufs[next++ % 8];
    act_t act = {
        .type = op->type,
        .host = op->ep->inst->host->index,
        .slot = op->ep->slot,
        .size = op->length
    };
    char str[64];

    snprintf(buf, sizeof(bufs[0]), "#%u %s %s seq %u at %u epoch %u %s", op->id,
             act_str(&act, str, sizeof(str)), ep_str(op->ep), op->seq,
             op->offset, op->epoch, states[op->state]);
    return buf;
}

static int is_put(const op_t *op)
{
    return (op->type >= ACT_PUT_SHORT) && (op->type <= ACT_PUT_ZCOPY);
}

static int is_am(const op_t *op)
{
    return (op->type >= ACT_AM_SHORT) && (op->type <= ACT_AM_ZCOPY);
}

static void done(op_t *op)
{
    op->state     = OP_DONE;
    op->completed = ++world.stamp;
}

static void release_buf(op_t *op)
{
    if (op->buf != NULL) {
        buf_retire(op->buf);
        op->buf = NULL;
    }
}


/* Completions -------------------------------------------------------------- */

/* What a flush promises of one earlier operation of its connection */
static void check_flushed(op_t *op, const op_t *flush)
{
    const char *what = (flush == NULL) ? "the interface" : op_str(flush);
    user_ep_t *ep    = op->ep;

    if (op->state != OP_POSTED) {
        return;
    }

    oracle_check(!op->is_async, ((flush != NULL) && flush->is_cancel) ?
                 "cancel" : "flush", "%s is complete before %s", what,
                 op_str(op));
    release_buf(op);
    if (op->is_cancel && !is_am(op)) {
        /* its chunks that were not posted yet were dropped */
        op->state = OP_FAILED;
        return;
    }

    done(op);
    if (is_put(op)) {
        shadow_check_put(op, "flush");
    } else if (is_am(op)) {
        exec_check_arrived(op, "flush");
        ep->flushed = (op->seq >= ep->flushed) ? op->seq + 1 : ep->flushed;
    }
}

static void check_flush(const op_t *flush)
{
    const user_ep_t *ep = flush->ep;
    inst_t *inst        = ep->inst;
    uint32_t i;
    op_t *op;

    for (i = 0; i < inst->num_ops; ++i) {
        op = inst->ops[i];
        if (op->posted >= flush->posted) {
            break;
        }

        /* flushes are of the connection, which endpoints share; but what failed
         * by itself is said to its endpoint */
        if ((op != flush) && op->ep->is_open &&
            (op->ep->ep.conn == ep->ep.conn) &&
            ((op->ep == ep) || (op->ep->ep.fault == VMP_OK))) {
            check_flushed(op, flush);
        }
    }
}

void oracle_iface_flushed(inst_t *inst)
{
    uint32_t i;

    for (i = 0; i < inst->num_ops; ++i) {
        if (inst->ops[i]->ep->is_open && !inst->ops[i]->ep->is_lost) {
            check_flushed(inst->ops[i], NULL);
        }
    }
}

static void check_done(op_t *op)
{
    done(op);
    if (is_put(op)) {
        shadow_check_put(op, "completion");
    } else if (op->type == ACT_AM_ZCOPY) {
        exec_check_arrived(op, "completion");
    } else if ((op->type == ACT_GET_ZCOPY) && (op->buf != NULL)) {
        buf_check(op->buf);
        shadow_check_get(op, op->buf->data);
    } else if (op->type == ACT_GET_BCOPY) {
        oracle_check(op->is_unpacked, "completion", "%s is complete, but was "
                     "not unpacked", op_str(op));
    } else if (op->type == ACT_FLUSH) {
        check_flush(op);
    }
}

void oracle_complete(op_t *op, vmp_status_t status)
{
    user_ep_t *ep = op->ep;

    trace("  %s completes: %d", op_str(op), status);
    pace_check(op);
    oracle_check(op->state != OP_ORPHAN, (op->is_cancel ? "cancel" :
                 "completion"), "%s calls back after the end of its endpoint",
                 op_str(op));
    oracle_check(op->is_async && (op->state == OP_POSTED), "completion",
                 "%s completes again", op_str(op));
    oracle_check(!ep->is_failed, "completion", "%s completes after ep_failed",
                 op_str(op));
    if (status == VMP_OK) {
        check_done(op);
    } else {
        if (status == VMP_ERR_CANCELED) {
            oracle_check(op->is_cancel ||
                         ((op->type == ACT_FLUSH) && !ep->is_open), "cancel",
                         "%s was not cancelled", op_str(op));
        } else {
            oracle_check(pair_may_fail(ep), "failure", "%s ends with %d "
                         "without a cause", op_str(op), status);
        }

        op->state     = OP_FAILED;
        op->completed = 0;
    }

    release_buf(op);
}

void oracle_unpack(op_t *op, const void *data, size_t length)
{
    oracle_check((op->state == OP_POSTED) && !op->is_unpacked, "completion",
                 "%s is unpacked again, or too late", op_str(op));
    oracle_check(length == op->length, "get", "%s brings %zu bytes",
                 op_str(op), length);
    op->is_unpacked = 1;
    shadow_check_get(op, data);
}


/* Posting ------------------------------------------------------------------ */

/* Complete when it returns */
static int is_instant(const op_t *op, vmp_status_t status)
{
    return (status == VMP_OK) && !is_am(op) &&
           (!is_put(op) || (op->length == 0));
}

void oracle_posted(op_t *op, vmp_status_t status)
{
    user_ep_t *ep    = op->ep;
    inst_t *inst     = ep->inst;
    region_t *region = op->region;

    trace("  %s %s", op_str(op), (status == VMP_OK) ? "ok" : "in progress");
    oracle_check(!ep->is_failed, "failure", "%s was accepted on an endpoint "
                 "that is lost", op_str(op));
    op->state = OP_POSTED;
    op->since = world_now();
    if (is_instant(op, status)) {
        done(op);
        if (op->type == ACT_FLUSH) {
            check_flush(op);
        }
    }

    inst->ops = world_grow(inst->ops, inst->num_ops, &inst->max_ops);
    inst->ops[inst->num_ops++] = op;
    if (is_am(op)) {
        ep->msgs = world_grow(ep->msgs, ep->num_msgs, &ep->max_msgs);
        ep->msgs[ep->num_msgs++] = op;
    } else if (is_put(op) && (op->length > 0)) {
        region->puts = world_grow(region->puts, region->num_puts,
                                  &region->max_puts);
        region->puts[region->num_puts++] = op;
    }
}

void oracle_lost(user_ep_t *ep, vmp_status_t status)
{
    oracle_check((status == VMP_ERR_CONNECTION_RESET) ||
                 (status == VMP_ERR_ENDPOINT_TIMEOUT) ||
                 ((pair_of_ep(ep)->may_not_begin || world.prog->is_faulty) &&
                  (status != VMP_ERR_INVALID_PARAM)),
                 "failure", "%s: a call returned %d", ep_str(ep), status);
    oracle_check(ep->is_lost || pair_may_fail(ep), "failure", "%s is lost (%d) "
                 "without a cause", ep_str(ep), status);
    if (!ep->is_lost) {
        trace("  %s is lost: %d", ep_str(ep), status);
        ep->is_lost = 1;
    }
}


/* Endpoints ---------------------------------------------------------------- */

void oracle_cancelled(user_ep_t *ep)
{
    inst_t *inst = ep->inst;
    uint32_t i;

    for (i = 0; i < inst->num_ops; ++i) {
        if ((inst->ops[i]->ep == ep) && (inst->ops[i]->state == OP_POSTED)) {
            inst->ops[i]->is_cancel = 1;
        }
    }
}

/* The core knows that an operation of its failed by itself, and would have said
 * so: what was behind that will not come */
void oracle_closing(user_ep_t *ep)
{
    ep->is_lost |= (ep->ep.fault != VMP_OK);
}

void oracle_closed(user_ep_t *ep)
{
    inst_t *inst = ep->inst;
    uint32_t i;
    op_t *op;

    for (i = 0; i < inst->num_ops; ++i) {
        op = inst->ops[i];
        if ((op->ep != ep) || (op->state != OP_POSTED)) {
            continue;
        }

        oracle_check((op->type != ACT_FLUSH) || !op->is_async, "flush",
                     "%s has not ended with its endpoint", op_str(op));
        if (op->is_async || (op->buf != NULL)) {
            op->state = OP_ORPHAN;
        }

        if (op->buf != NULL) {
            op->buf->next = inst->orphans;
            inst->orphans = op->buf;
            if (op->type == ACT_AM_ZCOPY) {
                spoil_add(op, op->buf);
            }

            op->buf = NULL;
        }
    }

    while ((op = ep->queue) != NULL) {
        ep->queue = op->next;
        op->state = OP_FAILED;
    }

    ep->queue_tail = &ep->queue;
}

void oracle_failed(user_ep_t *ep, vmp_status_t status)
{
    inst_t *inst = ep->inst;
    uint32_t i;
    op_t *op;

    trace("  %s has failed: %d", ep_str(ep), status);
    oracle_check(ep->is_open, "failure", "%s fails after its end", ep_str(ep));
    oracle_check(!ep->is_failed, "failure", "%s fails twice", ep_str(ep));
    oracle_check(pair_may_fail(ep), "failure", "%s fails (%d) without a cause",
                 ep_str(ep), status);
    for (i = 0; i < inst->num_ops; ++i) {
        op = inst->ops[i];
        if (op->ep != ep) {
            continue;
        }

        oracle_check(!op->is_async || (op->state != OP_POSTED), "failure",
                     "%s fails before %s has ended", ep_str(ep), op_str(op));
        if (op->state == OP_POSTED) {
            op->state = OP_FAILED;
            release_buf(op);
        }
    }

    ep->is_failed = 1;
    ep->is_lost   = 1;
    ++world.num_failed;
}

void oracle_ready(user_ep_t *ep)
{
    vmp_conn_t *conn = ep->ep.conn;
    host_t *host     = ep->inst->host;
    user_ep_t *other;
    unsigned i;

    trace("  %s is called: ready", ep_str(ep));
    oracle_check(ep->is_open && ep->is_waiting, "pending", "%s is called, but "
                 "does not wait", ep_str(ep));
    oracle_check(vmp_ep_is_ready(&ep->ep), "pending", "%s is called, but is "
                 "not ready", ep_str(ep));

    /* first come, first served: who was called stands behind the others; but
     * who is to hear of a failure waits for that */
    for (i = 0; (i < WORLD_SLOTS) && !conn->block; ++i) {
        other = host->slots[i];
        if ((other == NULL) || !other->is_open || !other->is_waiting ||
            (other->inst != ep->inst) || (other->ep.conn != conn) ||
            (other->ep.fault != VMP_OK) || (other->turn >= ep->turn)) {
            continue;
        }

        oracle_fail("pending", "%s is called before %s, which waits for longer",
                    ep_str(ep), ep_str(other));
    }

    ep->turn = ++world.stamp;
}


/* Messages ----------------------------------------------------------------- */

static user_ep_t *find_sender(inst_t *inst, uint8_t am_id, const void *data,
                              size_t length)
{
    uint32_t ids[2] = {UINT32_MAX, 0};
    user_ep_t *ep   = NULL;

    if (am_id < WORLD_MAX_TAG) {
        ep = inst->by_tag[am_id];
    } else if (length >= WORLD_IDS_LEN) {
        memcpy(ids, data, sizeof(ids));
        ep = (ids[0] < world.num_eps) ? world.eps[ids[0]] : NULL;
    }

    oracle_check((ep != NULL) && (ep->target == inst) && (ep->tag == am_id),
                 "content", "host %u got a message of %zu bytes, id %u, that "
                 "nobody sent there", inst->host->index, length, am_id);
    return ep;
}

static int is_message(const op_t *op, const void *data, size_t length)
{
    return (op->length == length) && app_message_matches(op, data);
}

/* It is not the one that comes next: why? */
static void blame_message(const user_ep_t *ep, const void *data, size_t length)
{
    uint32_t seq;

    for (seq = ep->delivered; seq < ep->num_msgs; ++seq) {
        if (is_message(ep->msgs[seq], data, length)) {
            oracle_fail("order", "%s: message %u came, message %u is next",
                        ep_str(ep), seq, ep->delivered);
        }
    }

    for (seq = 0; seq < ep->delivered; ++seq) {
        if (is_message(ep->msgs[seq], data, length)) {
            oracle_fail("duplicate", "%s: message %u came again, message %u is "
                        "next", ep_str(ep), seq, ep->delivered);
        }
    }

    oracle_fail("content", "%s: %zu bytes came that are no message; next is %s",
                ep_str(ep), length, (ep->delivered < ep->num_msgs) ?
                op_str(ep->msgs[ep->delivered]) : "none");
}

/* Its endpoint is lost by an operation of its own, and what was behind that
 * comes all the same, as is known. Return its number. */
static uint32_t skip_failed(const user_ep_t *ep, uint32_t seq,
                            const void *data, size_t length)
{
    uint32_t next = seq;

    if ((ep->blame == 0) || !pair_excuses(pair_of_ep(ep), "order")) {
        return seq;
    }

    while ((next < ep->num_msgs) && !is_message(ep->msgs[next], data, length)) {
        ++next;
    }

    return (next < ep->num_msgs) ? next : seq;
}

/* What came before a fence has its effect before what is behind it */
static void check_fence(user_ep_t *ep, const op_t *am)
{
    inst_t *inst = ep->inst;
    op_t *op;

    for (; ep->fence_checked < inst->num_ops; ++ep->fence_checked) {
        op = inst->ops[ep->fence_checked];
        if (op->posted > am->posted) {
            return;
        }

        if ((op->ep == ep) && is_put(op)) {
            if (op->epoch >= am->epoch) {
                return;
            }

            shadow_check_fence(op, am);
        }
    }
}

/* Whether a message may never come, as its endpoint is gone, and could not be
 * told that it failed; or a put did, whose memory went with the endpoint, so
 * that it cannot be done again if a path dies: nor is then what is behind a
 * fence */
static int may_be_lost(const op_t *am)
{
    const user_ep_t *ep = am->ep;
    const inst_t *inst  = ep->inst;
    const op_t *op;
    uint32_t i;

    if (am->is_lost) {
        return 1;
    }

    if (((am->state != OP_POSTED) && (am->state != OP_ORPHAN)) || ep->is_open) {
        return 0;
    }

    for (i = 0; (i < inst->num_ops) && world.prog->is_faulty; ++i) {
        op = inst->ops[i];
        if (op->posted > am->posted) {
            break;
        }

        /* the fence may be another endpoint's: they share the queue */
        if ((op->ep == ep) && is_put(op) && (op->state == OP_ORPHAN)) {
            return 1;
        }
    }

    return 0;
}

/* The next message is lost, and a later one came. One that went another way may
 * have been out already, if no fence was before it. */
static void check_prefix(const user_ep_t *ep, uint32_t seq)
{
    const op_t *am = ep->msgs[seq];
    const op_t *lost;
    uint32_t i;

    for (i = ep->delivered; i < seq; ++i) {
        lost = ep->msgs[i];
        oracle_check((lost->state != OP_ORPHAN) || (lost->path != am->path),
                     "order", "%s came without %s, which was before it on its "
                     "path", op_str(am), op_str(lost));
    }
}

/* What is behind a message that is lost may be lost, too */
uint32_t oracle_delivered(const user_ep_t *ep)
{
    uint32_t seq = ep->delivered;

    return ep->is_cut || ((seq < ep->num_msgs) && may_be_lost(ep->msgs[seq])) ?
           ep->num_msgs : seq;
}

op_t *oracle_message(inst_t *inst, uint8_t am_id, const void *data,
                     size_t length)
{
    user_ep_t *ep = find_sender(inst, am_id, data, length);
    uint32_t seq  = ep->delivered;
    op_t *am;

    if ((seq < ep->num_msgs) &&
        (ep->is_cut || ((ep->msgs[seq]->state == OP_ORPHAN) &&
                        may_be_lost(ep->msgs[seq])))) {
        while ((seq < ep->num_msgs) &&
               !is_message(ep->msgs[seq], data, length)) {
            ++seq;
        }
    }

    if ((seq < ep->num_msgs) && !is_message(ep->msgs[seq], data, length)) {
        seq = skip_failed(ep, seq, data, length);
    }

    if ((seq == ep->num_msgs) || !is_message(ep->msgs[seq], data, length)) {
        blame_message(ep, data, length);
    }

    check_prefix(ep, seq);
    ep->is_cut   |= (seq > ep->delivered) && !ep->is_open;
    am            = ep->msgs[seq];
    ep->delivered = seq + 1;
    trace("  h%u gets %s", inst->host->index, op_str(am));
    pace_check(am);
    check_fence(ep, am);
    return am;
}


/* The end ------------------------------------------------------------------ */

static void check_delivered(const user_ep_t *ep)
{
    const pair_t *pair = pair_of_ep(ep);
    uint32_t want      = ep->num_msgs;

    if (ep->target->is_closed || pair->is_stuck) {
        return;
    }

    if (ep->inst->is_closed || ep->is_lost || !ep->is_open) {
        /* flushed ones arrived, and are dropped with a connection only */
        want = pair->is_lossy ? 0 : (ep->inst->is_closed || ep->is_lost) ?
               ep->flushed : ep->num_msgs;
    }

    oracle_check(oracle_delivered(ep) >= want, "lost", "%s: of %u messages "
                 "sent, %u of them flushed, %u came", ep_str(ep), ep->num_msgs,
                 ep->flushed, ep->delivered);
}

void oracle_end(void)
{
    unsigned i;
    op_t *op;

    for (i = 0; i < world.num_eps; ++i) {
        check_delivered(world.eps[i]);
    }

    for (i = 0; i < world.num_ops; ++i) {
        op = world.ops[i];
        oracle_check(!op->is_async || (op->state != OP_POSTED) ||
                     op->ep->inst->is_closed || pair_of_ep(op->ep)->is_stuck,
                     "completion", "%s never ends", op_str(op));
    }

    for (i = 0; i < world.prog->num_hosts; ++i) {
        shadow_check_region(world.hosts[i].region);
    }
}
