/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Traffic from a node to a peer, and its checks */

#include "verbs_node.h"
#include "common/vmp_content.h"
#include "unit/vmp_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEND_KINDS  3


typedef struct msg {
    uint32_t from;
    uint32_t seq;
    uint32_t kind;
    uint32_t slot;
    uint64_t key;
    uint64_t length;
} msg_t;

/* For vmp_pack_func_t */
typedef struct msg_pack {
    msg_t      msg;
    const void *data;
} msg_pack_t;


uint64_t node_source_key(unsigned index)
{
    return 0x50000000ull + (index * 0x1000000ull);
}

static uint8_t *node_target(node_t *node, unsigned from, unsigned slot)
{
    return node->targets + (((from * NODE_OPS) + slot) * NODE_LEN);
}

static void content_check(const void *data, size_t length, uint64_t key,
                          size_t start)
{
    uint8_t want;

    VMP_CHECK(vmp_content_check(data, length, key, start, &want) ==
              VMP_CONTENT_OK);
}


/* What the core calls */

static int on_am(void *arg, uint8_t am_id, void *data, size_t length,
                 vmp_rx_t *rx)
{
    node_t *node = arg;
    node_stream_t *stream;
    uint32_t expected;
    unsigned i;
    msg_t msg;

    (void)rx;
    VMP_CHECK((am_id == 7) && (length >= sizeof(msg)));
    memcpy(&msg, data, sizeof(msg));
    VMP_CHECK((msg.from < NODES_ALL) && (msg.from != node->index));
    expected = count_get(&node->expected[msg.from]);
    if (msg.kind == MSG_HELLO) {
        VMP_CHECK((msg.from == VISITOR) && (msg.slot == expected));
        expected = 0;
    }
    VMP_CHECK(msg.seq == expected);
    count_set(&node->expected[msg.from], expected + 1);

    stream = &node->streams[msg.from % NODES];
    switch (msg.kind) {
    case MSG_HELLO:
        break;
    case MSG_TEXT:
        VMP_CHECK(msg.length == length - sizeof(msg));
        content_check((uint8_t*)data + sizeof(msg), msg.length, msg.key, 0);
        break;
    case MSG_PUT:
        VMP_CHECK((msg.slot < NODE_OPS) && (msg.from < NODES));
        content_check(node_target(node, msg.from, msg.slot), msg.length,
                      msg.key, 0);
        stream->checked |= 1u << msg.slot;
        break;
    default:
        VMP_CHECK((msg.kind == MSG_CHECKED) && (msg.from < NODES));
        for (i = 0; i < NODE_OPS; ++i) {
            if (msg.slot & (1u << i)) {
                VMP_CHECK(stream->ops[i].is_shown);
                stream->ops[i].is_shown = 0;
            }
        }
        break;
    }
    return 0;
}

static void on_complete(void *arg, void *comp, vmp_status_t status)
{
    node_op_t *op = comp;

    (void)arg;
    VMP_CHECK(status == VMP_OK);
    VMP_CHECK(op->is_posted);
    op->is_posted = 0;
    if (op->type == OP_GET) {
        content_check(op->buffer, op->length, node_source_key(op->stream->peer),
                      op->key);
    }
}

static void on_unpack(void *arg, void (*unpack)(void), void *unpack_arg,
                      const void *data, size_t length)
{
    (void)arg;
    (void)unpack;
    memcpy(unpack_arg, data, length);
}

static int on_ep_ready(void *arg, vmp_ep_t *ep)
{
    (void)arg;
    (void)ep;
    return 0;
}

static void on_ep_failed(void *arg, vmp_ep_t *ep, vmp_status_t status)
{
    node_stream_t *stream = (node_stream_t*)ep;

    (void)arg;
    fprintf(stderr, "endpoint from %u to %u failed: %d\n", stream->node->index,
            stream->peer, status);
    VMP_CHECK(0);
}

const vmp_iface_ops_t node_ops = {
    .am        = on_am,
    .complete  = on_complete,
    .unpack    = on_unpack,
    .ep_ready  = on_ep_ready,
    .ep_failed = on_ep_failed
};


/* Sends */

static size_t msg_pack(void *dest, void *arg)
{
    const msg_pack_t *pack = arg;

    memcpy(dest, &pack->msg, sizeof(pack->msg));
    if (pack->msg.kind != MSG_TEXT) {
        return sizeof(pack->msg);
    }
    memcpy((uint8_t*)dest + sizeof(pack->msg), pack->data, pack->msg.length);
    return sizeof(pack->msg) + pack->msg.length;
}

/* Return 0, or -1: no room now. The op is for text. */
int stream_send(node_stream_t *stream, msg_kind_t kind, uint32_t slot,
                       uint64_t key, size_t length, node_op_t *op)
{
    node_t *node    = stream->node;
    msg_pack_t pack = {
        .msg  = { .from   = node->index,
                  .seq    = count_get(&stream->seq),
                  .kind   = kind,
                  .slot   = slot,
                  .key    = key,
                  .length = length },
        .data = (op != NULL) ? op->buffer : NULL
    };
    vmp_iov_t iov = {
        .buffer = (op != NULL) ? op->buffer : NULL,
        .length = length,
        .mem    = &node->mem
    };
    vmp_iov_t plain[2] = {
        { .buffer = &pack.msg, .length = sizeof(pack.msg) }, iov
    };
    unsigned num_iov = (op != NULL) ? 2 : 1;
    size_t total     = sizeof(pack.msg) + ((op != NULL) ? length : 0);
    unsigned how     = vmp_check_random(&node->random) % SEND_KINDS;
    ssize_t ret;

    if ((how == 0) && (total <= node->attr.max_short)) {
        ret = vmp_ep_am_short_iov(&stream->ep, 7, plain, num_iov);
    } else if ((how == 1) && (op != NULL)) {
        ret = vmp_ep_am_zcopy(&stream->ep, 7, &pack.msg, sizeof(pack.msg),
                              &iov, 1, op);
        op->is_posted = (ret == VMP_INPROGRESS);
    } else {
        ret = vmp_ep_am_bcopy(&stream->ep, 7, msg_pack, &pack);
    }

    if (ret == VMP_ERR_NO_RESOURCE) {
        return -1;
    }
    VMP_CHECK(ret >= 0);
    count_set(&stream->seq, pack.msg.seq + 1);
    return 0;
}

int stream_text(node_stream_t *stream, node_op_t *op)
{
    op->type   = OP_MSG;
    op->length = vmp_check_random(&stream->node->random) % NODE_MSG;
    op->key    = vmp_check_random(&stream->node->random);
    vmp_content_fill(op->buffer, op->length, op->key, 0);
    return stream_send(stream, MSG_TEXT, 0, op->key, op->length, op);
}

static int stream_put(node_stream_t *stream, node_op_t *op)
{
    node_t *node  = stream->node;
    unsigned slot = (unsigned)(op - stream->ops);
    node_t *peer  = &node_all[stream->peer];
    vmp_iov_t iov = { .buffer = op->buffer, .mem = &node->mem };
    vmp_status_t status;

    op->type   = OP_PUT;
    op->length = 1 + (vmp_check_random(&node->random) % NODE_LEN);
    op->key    = vmp_check_random(&node->random);
    iov.length = op->length;
    vmp_content_fill(op->buffer, op->length, op->key, 0);
    status = vmp_ep_put_zcopy(&stream->ep, &iov, 1,
                              (uintptr_t)node_target(peer, node->index, slot),
                              &peer->rkey, op);
    if (status == VMP_ERR_NO_RESOURCE) {
        return -1;
    }

    VMP_CHECK(status >= 0);
    op->is_posted = (status == VMP_INPROGRESS);
    op->is_shown  = 1;
    VMP_CHECK(vmp_ep_fence(&stream->ep) == VMP_OK);
    stream->untold = op;
    return 0;
}

int stream_get(node_stream_t *stream, node_op_t *op)
{
    node_t *node  = stream->node;
    node_t *peer  = &node_all[stream->peer];
    vmp_iov_t iov = { .buffer = op->buffer, .mem = &node->mem };
    size_t start  = vmp_check_random(&node->random) % NODE_LEN;
    vmp_status_t status;

    op->type      = OP_GET;
    op->length    = 1 + (vmp_check_random(&node->random) % (NODE_LEN - start));
    op->key       = start;
    iov.length    = op->length;
    op->is_posted = 1;
    memset(op->buffer, 0xee, op->length);
    status = vmp_ep_get_zcopy(&stream->ep, &iov, 1,
                              (uintptr_t)peer->source + start, &peer->rkey,
                              op);
    if (status == VMP_ERR_NO_RESOURCE) {
        op->is_posted = 0;
        return -1;
    }

    VMP_CHECK(status >= 0);
    if (status == VMP_OK) {
        on_complete(node, op, VMP_OK);
    }
    return 0;
}

/* Free ones are those that nobody looks at any more */
node_op_t *stream_find_op(node_stream_t *stream)
{
    unsigned i;

    for (i = 0; i < NODE_OPS; ++i) {
        if (!stream->ops[i].is_posted && !stream->ops[i].is_shown) {
            return &stream->ops[i];
        }
    }
    return NULL;
}

int stream_is_busy(const node_stream_t *stream)
{
    unsigned i;

    for (i = 0; i < NODE_OPS; ++i) {
        if (stream->ops[i].is_posted || stream->ops[i].is_shown) {
            return 1;
        }
    }
    return (stream->untold != NULL) || (stream->checked != 0) ||
           stream->flush.is_posted || stream->is_closing;
}

void stream_open(node_stream_t *stream)
{
    node_t *peer = &node_all[stream->peer];

    VMP_CHECK(vmp_ep_create(stream->node->iface, &peer->attr.rail_addr,
                            &peer->attr.addr, &stream->ep) == VMP_OK);
    stream->is_open = 1;
    ++stream->node->num_eps;
}

/* Another endpoint when all of this one's is done. Return whether anything
 * happened. */
static int stream_renew(node_stream_t *stream)
{
    vmp_status_t status;

    if (stream->flush.is_posted) {
        return 0;
    }

    status = vmp_ep_flush(&stream->ep, 0, &stream->flush);
    if (status == VMP_INPROGRESS) {
        stream->flush.is_posted = 1;
        stream->flush.type      = OP_FLUSH;
        return 0;
    }

    VMP_CHECK((status == VMP_OK) || (status == VMP_ERR_NO_RESOURCE));
    if (status == VMP_OK) {
        vmp_ep_destroy(&stream->ep);
        stream_open(stream);
        stream->is_closing = 0;
        return 1;
    }
    return 0;
}

/* Return whether anything was begun */
int stream_step(node_stream_t *stream)
{
    uint64_t dice = vmp_check_random(&stream->node->random);
    unsigned seen = stream->checked;
    node_op_t *op;
    int ret;

    if (seen != 0) {
        if (stream_send(stream, MSG_CHECKED, seen, 0, 0, NULL) != 0) {
            return 0;
        }
        stream->checked &= ~seen;
        return 1;
    }

    op = stream->untold;
    if (op != NULL) {
        if (stream_send(stream, MSG_PUT, (uint32_t)(op - stream->ops), op->key,
                        op->length, NULL) != 0) {
            return 0;
        }
        stream->untold = NULL;
        return 1;
    }

    if (stream->is_closing) {
        return stream_renew(stream);
    }

    op = stream_find_op(stream);
    if ((node_get_phase() != NODE_RUN) || (op == NULL)) {
        return 0;
    }

    if (dice % 512 == 0) {
        stream->is_closing = 1;
        return 1;
    }

    ret = ((dice >> 16) % 4 == 0) ? stream_get(stream, op) :
          ((dice >> 16) % 4 == 1) ? stream_put(stream, op) :
                                    stream_text(stream, op);
    stream->node->num[op->type] += (ret == 0);
    return ret == 0;
}
