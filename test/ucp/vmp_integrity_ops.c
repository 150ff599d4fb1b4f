/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_integrity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>


static uint64_t num_posted;
static uint64_t num_bursts;


const char *kind_name(const op_t *op)
{
    static const char *modes[] = {"put, flush, message", "put, fence, message",
                                  "put, fence, flag"};

    switch (op->kind) {
    case KIND_TAG:
        return "tag";
    case KIND_AM:
        return "active message";
    case KIND_STREAM:
        return "stream";
    case KIND_PUT:
        return modes[op->mode];
    case KIND_GET:
        return "get";
    default:
        return "atomic";
    }
}

void op_make(unsigned from, unsigned ep, uint32_t index, op_t *op)
{
    uint64_t hash = vmp_mix(vmp_mix(opts.seed + (from * MAX_EPS) + ep) + index);
    unsigned bits = 0;
    uint64_t limit;

    op->key  = hash;
    op->kind = opts.kinds[(hash & 0xffff) % strlen(opts.kinds)];
    op->mode = (hash >> 16) % PUT_MODE_LAST;
    op->slot = (hash >> 20) % PUT_SLOTS;
    if ((op->kind == KIND_PUT) && (opts.num_workers > 1)) {
        /* UCP may block in a fence, while it progresses that worker only; two
         * sides in different workers could wait for each other for ever */
        op->mode = PUT_FLUSH_AM;
    }
    hash     = vmp_mix(hash);
    while ((2ul << bits) <= opts.max_size) {
        ++bits;
    }
    /* every order of magnitude is as likely; sometimes close to a power of
     * two, where segments end */
    limit    = 1ul << (hash % (bits + 1));
    op->size = limit + ((hash >> 8) % limit);
    if ((hash >> 40) % 4 == 0) {
        op->size = limit + ((hash >> 8) % 200) - 100;
    }
    if ((ssize_t)op->size < 0) {
        op->size = 0;
    }
    if (op->size > opts.max_size) {
        op->size = opts.max_size;
    }
    if ((op->size == 0) && (op->kind != KIND_TAG) && (op->kind != KIND_AM)) {
        op->size = 1;
    }
    op->offset = (hash >> 44) % SLOT_SLACK;
    if (op->kind == KIND_GET) {
        op->offset = (hash >> 30) % (opts.max_size - op->size + 1);
    }
}

int op_is_sent(const op_t *op)
{
    return (op->kind == KIND_TAG) || (op->kind == KIND_AM) ||
           (op->kind == KIND_STREAM) || (op->kind == KIND_PUT);
}

void check_bytes(test_ep_t *ep, uint32_t index, const op_t *op,
                 const void *data, size_t size, size_t start)
{
    uint8_t want = 0;
    size_t offset;

    if (size != op->size) {
        die("endpoint %u operation %u (%s): %zu bytes came instead of %zu",
            ep->index, index, kind_name(op), size, op->size);
    }
    ++num_checks;
    offset = vmp_content_check(data, size, op->key, start, &want);
    if (offset != VMP_CONTENT_OK) {
        die("endpoint %u operation %u (%s) size %zu offset %zu: got 0x%02x "
            "want 0x%02x", ep->index, index, kind_name(op), size, offset,
            ((const uint8_t*)data)[offset], want);
    }
}

work_t *work_new(test_ep_t *ep, uint32_t index, const op_t *op, size_t size)
{
    work_t *work = xalloc(sizeof(*work));

    memset(work, 0, sizeof(*work));
    work->ep           = ep;
    work->index        = index;
    work->op           = *op;
    work->header.ep    = ep->index;
    work->header.index = index;
    /* odd addresses are as good as any */
    work->buffer       = (uint8_t*)xalloc(size + 64) + (op->key % 32);
    ++num_active;
    return work;
}

void work_free(work_t *work)
{
    free(work->buffer - (work->op.key % 32));
    free(work);
    --num_active;
}

void set_params(ucp_request_param_t *param, work_t *work)
{
    memset(param, 0, sizeof(*param));
    param->op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                          UCP_OP_ATTR_FIELD_USER_DATA;
    param->user_data    = work;
}

void check_status(work_t *work, ucs_status_t status, const char *what)
{
    if (status != UCS_OK) {
        die("endpoint %u operation %u (%s) size %zu: %s failed: %s",
            work->ep->index, work->index, kind_name(&work->op), work->op.size,
            what, ucs_status_string(status));
    }
}

/* The callback runs only if the request does not complete at once */
static void complete_now(ucs_status_ptr_t ptr, work_t *work,
                         ucp_send_nbx_callback_t cb)
{
    if (!UCS_PTR_IS_PTR(ptr)) {
        cb(NULL, UCS_PTR_STATUS(ptr), work);
    }
}

static void send_cb(void *request, ucs_status_t status, void *user_data)
{
    work_t *work = user_data;

    check_status(work, status, "send");
    work_free(work);
    if (request != NULL) {
        ucp_request_free(request);
    }
}

void post_am_header(test_ep_t *ep, uint32_t index, const op_t *op,
                    unsigned id)
{
    work_t *work = work_new(ep, index, op, 0);
    ucp_request_param_t param;

    set_params(&param, work);
    param.cb.send = send_cb;
    complete_now(ucp_am_send_nbx(ep->ep, id, &work->header,
                                 sizeof(work->header), NULL, 0, &param),
                 work, send_cb);
}

/* One piece, or some of random length */
static size_t make_iov(work_t *work)
{
    size_t left     = work->op.size, len;
    uint64_t hash   = vmp_mix(work->op.key ^ 1);
    uint8_t *buffer = work->buffer;
    unsigned i;

    for (i = 0; i < MAX_IOV; ++i) {
        len                 = (i == (MAX_IOV - 1)) ? left :
                              (hash >> (i * 20)) % (left + 1);
        work->iov[i].buffer = buffer;
        work->iov[i].length = len;
        buffer             += len;
        left               -= len;
    }
    return MAX_IOV;
}

static void post_message(test_ep_t *ep, uint32_t index, const op_t *op)
{
    work_t *work  = work_new(ep, index, op, op->size);
    void *buffer  = work->buffer;
    size_t count  = op->size;
    ucp_request_param_t param;
    ucs_status_ptr_t ptr;

    vmp_content_fill(work->buffer, op->size, op->key, 0);
    set_params(&param, work);
    param.cb.send = send_cb;
    if (op->mode == 0) {
        param.op_attr_mask |= UCP_OP_ATTR_FIELD_DATATYPE;
        param.datatype      = ucp_dt_make_iov();
        count               = make_iov(work);
        buffer              = work->iov;
    }
    bytes_out += op->size;
    if (op->kind == KIND_TAG) {
        ptr = ucp_tag_send_nbx(ep->ep, buffer, count, ep->index, &param);
    } else if (op->kind == KIND_STREAM) {
        ptr = ucp_stream_send_nbx(ep->ep, buffer, count, &param);
    } else {
        ptr = ucp_am_send_nbx(ep->ep, AM_DATA, &work->header,
                              sizeof(work->header), buffer, count, &param);
    }
    complete_now(ptr, work, send_cb);
}

static void put_flushed_cb(void *request, ucs_status_t status, void *user_data)
{
    work_t *work = user_data;

    check_status(work, status, "flush");
    post_am_header(work->ep, work->index, &work->op, AM_PUT_DONE);
    send_cb(request, status, user_data);
}

static void post_put(test_ep_t *ep, uint32_t index, const op_t *op)
{
    work_t *work    = work_new(ep, index, op, op->size);
    uint64_t remote = ep->remote.slots + (op->slot * slot_size()) +
                      SLOT_SLACK + op->offset;
    ucp_request_param_t param;
    op_t flag_op;

    ep->slot_busy[op->slot] = 1;
    vmp_content_fill(work->buffer, op->size, op->key, 0);
    set_params(&param, work);
    param.cb.send  = send_cb;
    bytes_out     += op->size;
    complete_now(ucp_put_nbx(ep->ep, work->buffer, op->size, remote, ep->rkey,
                             &param), work, send_cb);

    if (op->mode == PUT_FLUSH_AM) {
        work = work_new(ep, index, op, 0);
        set_params(&param, work);
        param.cb.send = put_flushed_cb;
        complete_now(ucp_ep_flush_nbx(ep->ep, &param), work, put_flushed_cb);
        return;
    }

    if (ucp_worker_fence(workers[ep->worker]) != UCS_OK) {
        die("endpoint %u operation %u: fence failed", ep->index, index);
    }
    if (op->mode == PUT_FENCE_AM) {
        post_am_header(ep, index, op, AM_PUT_DONE);
        return;
    }

    flag_op      = *op;
    flag_op.size = sizeof(uint64_t);
    work         = work_new(ep, index, &flag_op, sizeof(uint64_t));
    memcpy(work->buffer, &(uint64_t){index + 1ul}, sizeof(uint64_t));
    set_params(&param, work);
    param.cb.send = send_cb;
    complete_now(ucp_put_nbx(ep->ep, work->buffer, sizeof(uint64_t),
                             ep->remote.flags + (op->slot * sizeof(uint64_t)),
                             ep->rkey, &param), work, send_cb);
}

static void get_cb(void *request, ucs_status_t status, void *user_data)
{
    work_t *work = user_data;

    check_status(work, status, "get");
    work->op.key = vmp_mix(opts.seed + !side); /* contents of its source */
    check_bytes(work->ep, work->index, &work->op, work->buffer, work->op.size,
                work->op.offset);
    op_make(side, work->ep->index, work->index, &work->op);
    send_cb(request, status, user_data);
}

static void post_get(test_ep_t *ep, uint32_t index, const op_t *op)
{
    work_t *work = work_new(ep, index, op, op->size);
    ucp_request_param_t param;

    memset(work->buffer, GUARD_BYTE, op->size);
    set_params(&param, work);
    param.cb.send = get_cb;
    bytes_in     += op->size;
    complete_now(ucp_get_nbx(ep->ep, work->buffer, op->size,
                             ep->remote.source + op->offset, ep->rkey, &param),
                 work, get_cb);
}

static void post_atomic(test_ep_t *ep, uint32_t index, const op_t *op)
{
    work_t *work = work_new(ep, index, op, 0);
    ucp_request_param_t param;

    work->value[0] = index + 1ul;
    set_params(&param, work);
    param.cb.send       = send_cb;
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_DATATYPE;
    param.datatype      = ucp_dt_make_contig(sizeof(uint64_t));
    if (op->mode != 0) {
        param.op_attr_mask |= UCP_OP_ATTR_FIELD_REPLY_BUFFER;
        param.reply_buffer  = &work->value[1];
    }
    complete_now(ucp_atomic_op_nbx(ep->ep, UCP_ATOMIC_OP_ADD, &work->value[0],
                                   1, ep->remote.counter, ep->rkey, &param),
                 work, send_cb);
}

void ops_init(void)
{
    uint32_t index;
    unsigned i;
    op_t op;

    target_init();
    for (i = 0; i < opts.num_eps; ++i) {
        eps[i].last_small = -1;
        for (index = 0; index < opts.num_ops; ++index) {
            op_make(!side, i, index, &op);
            eps[i].expected += op_is_sent(&op);
            bytes_in        += op_is_sent(&op) ? op.size : 0;
            bytes_out       += (op.kind == KIND_GET) ? op.size : 0;
        }
    }
}

static int post_next(test_ep_t *ep)
{
    uint32_t index = ep->next_op;
    op_t op;

    if (index == opts.num_ops) {
        return 0;
    }
    op_make(side, ep->index, index, &op);
    if ((op.kind == KIND_PUT) && ep->slot_busy[op.slot]) {
        return 0;
    }
    ++ep->next_op;
    ++num_posted;
    switch (op.kind) {
    case KIND_PUT:
        post_put(ep, index, &op);
        break;
    case KIND_GET:
        post_get(ep, index, &op);
        break;
    case KIND_ATOMIC:
        post_atomic(ep, index, &op);
        break;
    default:
        post_message(ep, index, &op);
        break;
    }
    return 1;
}

int ops_advance(void)
{
    int count = 0;
    unsigned i, k, limit;

    held_release(num_posted % 64 == 0);
    for (i = 0; i < opts.num_eps; ++i) {
        count += poll_flags(&eps[i]);
        while ((eps[i].tags_posted < TAG_WINDOW) &&
               (eps[i].next_tag < opts.num_ops)) {
            post_tag_recv(&eps[i]);
            ++count;
        }
        count += post_stream_recv(&eps[i]);
    }
    limit = opts.window + (opts.num_eps * TAG_WINDOW);
    for (i = 0; (i < opts.num_eps) && (num_active < limit); ++i) {
        /* bursts of random length on one endpoint */
        for (k = vmp_mix(opts.seed + num_bursts++) % 6; k > 0; --k) {
            count += post_next(&eps[i]);
        }
    }
    return count;
}

int ops_done(void)
{
    unsigned i, k;

    for (i = 0; i < opts.num_eps; ++i) {
        if ((eps[i].next_op < opts.num_ops) ||
            (eps[i].received < eps[i].expected)) {
            return 0;
        }
        for (k = 0; k < PUT_SLOTS; ++k) {
            if (eps[i].slot_busy[k]) {
                return 0;
            }
        }
    }
    if (num_active > 0) {
        return 0;
    }
    held_release(1);
    return 1;
}

void ops_check_counters(void)
{
    uint64_t want, got;
    uint32_t index;
    unsigned i;
    op_t op;

    for (i = 0; i < opts.num_eps; ++i) {
        for (want = 0, index = 0; index < opts.num_ops; ++index) {
            op_make(!side, i, index, &op);
            want += (op.kind == KIND_ATOMIC) ? (index + 1ul) : 0;
        }
        got = *(volatile uint64_t*)eps[i].local.counter;
        if (got != want) {
            die("endpoint %u: the sum of atomics is %" PRIu64 " instead of %"
                PRIu64, i, got, want);
        }
        ++num_checks;
    }
}

void ops_print_state(void)
{
    unsigned i;

    for (i = 0; i < opts.num_eps; ++i) {
        fprintf(stderr, "endpoint %u: posted %u of %u, received %u of %u\n", i,
                eps[i].next_op, opts.num_ops, eps[i].received,
                eps[i].expected);
    }
}
