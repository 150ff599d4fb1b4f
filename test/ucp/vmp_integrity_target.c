/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_integrity.h"

#include <inttypes.h>
#include <stdlib.h>

#define SMALL_SIZE  1024 /* below, active messages are one fragment: in order */
#define MAX_HELD    32


/* Data that UCP delivered and that we keep for a while */
typedef struct {
    void         *data;
    test_ep_t    *ep;
    uint32_t     index;
} held_t;


static held_t   held[MAX_HELD];
static unsigned num_held;

static void tag_recv_cb(void *request, ucs_status_t status,
                        const ucp_tag_recv_info_t *info, void *user_data)
{
    work_t *work = user_data;

    check_status(work, status, "receive");
    check_bytes(work->ep, work->index, &work->op, work->buffer, info->length,
                0);
    --work->ep->tags_posted;
    ++work->ep->received;
    work_free(work);
    ucp_request_free(request);
}

/* All messages of an endpoint have one tag: their contents show the order */
void post_tag_recv(test_ep_t *ep)
{
    ucp_request_param_t param;
    ucs_status_ptr_t ptr;
    work_t *work;
    op_t op;

    op_make(!side, ep->index, ep->next_tag, &op);
    if (op.kind == KIND_TAG) {
        work = work_new(ep, ep->next_tag, &op, opts.max_size);
        set_params(&param, work);
        param.op_attr_mask |= UCP_OP_ATTR_FLAG_NO_IMM_CMPL;
        param.cb.recv       = tag_recv_cb;
        ++ep->tags_posted;
        ptr = ucp_tag_recv_nbx(workers[ep->worker], work->buffer,
                               opts.max_size, ep->index, UINT64_MAX, &param);
        if (!UCS_PTR_IS_PTR(ptr)) {
            die("cannot post a receive: %s",
                ucs_status_string(UCS_PTR_STATUS(ptr)));
        }
    }
    ++ep->next_tag;
}

static void stream_recv_cb(void *request, ucs_status_t status, size_t length,
                           void *user_data)
{
    work_t *work = user_data;

    check_status(work, status, "receive from the stream");
    check_bytes(work->ep, work->index, &work->op, work->buffer, length, 0);
    work->ep->stream_posted = 0;
    ++work->ep->received;
    work_free(work);
    if (request != NULL) {
        ucp_request_free(request);
    }
}

/* A stream knows no messages: we know how long each was */
int post_stream_recv(test_ep_t *ep)
{
    ucp_request_param_t param;
    ucs_status_ptr_t ptr;
    size_t length;
    work_t *work;
    op_t op;

    if (ep->stream_posted) {
        return 0;
    }
    do {
        if (ep->next_stream == opts.num_ops) {
            return 0;
        }
        op_make(!side, ep->index, ep->next_stream++, &op);
    } while (op.kind != KIND_STREAM);
    work = work_new(ep, ep->next_stream - 1, &op, op.size);
    set_params(&param, work);
    param.op_attr_mask  |= UCP_OP_ATTR_FIELD_FLAGS;
    param.flags          = UCP_STREAM_RECV_FLAG_WAITALL;
    param.cb.recv_stream = stream_recv_cb;
    ep->stream_posted    = 1;
    ptr = ucp_stream_recv_nbx(ep->ep, work->buffer, op.size, &length, &param);
    if (!UCS_PTR_IS_PTR(ptr)) {
        stream_recv_cb(NULL, UCS_PTR_STATUS(ptr), length, work);
    }
    return 1;
}

static test_ep_t *parse_header(const void *header, size_t length,
                               am_header_t *hdr)
{
    if (length != sizeof(*hdr)) {
        die("an active message came with a header of %zu bytes", length);
    }
    memcpy(hdr, header, sizeof(*hdr));
    if ((hdr->ep >= opts.num_eps) || (hdr->index >= opts.num_ops)) {
        die("an active message came with a wrong header: endpoint %u "
            "operation %u", hdr->ep, hdr->index);
    }
    return &eps[hdr->ep];
}

static void am_data_recv_cb(void *request, ucs_status_t status, size_t length,
                            void *user_data)
{
    work_t *work = user_data;

    check_status(work, status, "receive");
    check_bytes(work->ep, work->index, &work->op, work->buffer, length, 0);
    ++work->ep->received;
    work_free(work);
    if (request != NULL) {
        ucp_request_free(request);
    }
}

void held_release(int all)
{
    op_t op;

    while ((num_held > 0) && (all || (num_held == MAX_HELD))) {
        --num_held;
        op_make(!side, held[num_held].ep->index, held[num_held].index, &op);
        check_bytes(held[num_held].ep, held[num_held].index, &op,
                    held[num_held].data, op.size, 0);
        ucp_am_data_release(workers[held[num_held].ep->worker],
                            held[num_held].data);
    }
}

static ucs_status_t am_data_cb(void *arg, const void *header,
                               size_t header_length, void *data, size_t length,
                               const ucp_am_recv_param_t *param)
{
    am_header_t hdr;
    test_ep_t *ep = parse_header(header, header_length, &hdr);
    ucp_request_param_t rparam;
    ucs_status_ptr_t ptr;
    work_t *work;
    op_t op;

    (void)arg;
    op_make(!side, ep->index, hdr.index, &op);
    if (op.kind != KIND_AM) {
        die("endpoint %u: active message %u was never sent", ep->index,
            hdr.index);
    }
    if (op.size < SMALL_SIZE) {
        if ((int64_t)hdr.index <= ep->last_small) {
            die("endpoint %u: active message %u came after %" PRId64,
                ep->index, hdr.index, ep->last_small);
        }
        ep->last_small = hdr.index;
    }
    if (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) {
        work = work_new(ep, hdr.index, &op, length);
        set_params(&rparam, work);
        rparam.cb.recv_am = am_data_recv_cb;
        ptr = ucp_am_recv_data_nbx(workers[ep->worker], data, work->buffer,
                                   length, &rparam);
        if (!UCS_PTR_IS_PTR(ptr)) {
            am_data_recv_cb(NULL, UCS_PTR_STATUS(ptr), length, work);
        }
        return UCS_INPROGRESS;
    }
    check_bytes(ep, hdr.index, &op, data, length, 0);
    ++ep->received;
    if ((param->recv_attr & UCP_AM_RECV_ATTR_FLAG_DATA) &&
        (num_held < MAX_HELD) && (op.key % 4 == 0)) {
        held[num_held].data  = data;
        held[num_held].ep    = ep;
        held[num_held].index = hdr.index;
        ++num_held;
        return UCS_INPROGRESS;
    }
    return UCS_OK;
}

/* Check a put in its slot, clean the slot, and let the origin use it again */
static void put_arrived(test_ep_t *ep, uint32_t index)
{
    uint8_t *slot;
    size_t i, end;
    op_t op;

    op_make(!side, ep->index, index, &op);
    if (op.kind != KIND_PUT) {
        die("endpoint %u: put %u was never sent", ep->index, index);
    }
    slot = (uint8_t*)ep->local.slots + (op.slot * slot_size());
    i    = SLOT_SLACK + op.offset;
    end  = i + op.size;
    check_bytes(ep, index, &op, slot + i, op.size, 0);
    memset(slot + i, GUARD_BYTE, op.size);
    for (i -= 32; i < (end + 32); ++i) {
        if (slot[i] != GUARD_BYTE) {
            die("endpoint %u operation %u (%s) size %zu: wrote outside its "
                "bounds at %zd", ep->index, index, kind_name(&op), op.size,
                (ssize_t)i - (ssize_t)(SLOT_SLACK + op.offset));
        }
    }
    ++ep->received;
    post_am_header(ep, index, &op, AM_PUT_ACK);
}

static ucs_status_t am_put_done_cb(void *arg, const void *header,
                                   size_t header_length, void *data,
                                   size_t length,
                                   const ucp_am_recv_param_t *param)
{
    am_header_t hdr;
    test_ep_t *ep = parse_header(header, header_length, &hdr);

    (void)arg, (void)data, (void)length, (void)param;
    put_arrived(ep, hdr.index);
    return UCS_OK;
}

static ucs_status_t am_put_ack_cb(void *arg, const void *header,
                                  size_t header_length, void *data,
                                  size_t length,
                                  const ucp_am_recv_param_t *param)
{
    am_header_t hdr;
    test_ep_t *ep = parse_header(header, header_length, &hdr);
    op_t op;

    (void)arg, (void)data, (void)length, (void)param;
    op_make(side, ep->index, hdr.index, &op);
    if ((op.kind != KIND_PUT) || !ep->slot_busy[op.slot]) {
        die("endpoint %u: put %u was acknowledged twice", ep->index, hdr.index);
    }
    ep->slot_busy[op.slot] = 0;
    return UCS_OK;
}

int poll_flags(test_ep_t *ep)
{
    volatile uint64_t *flags = (volatile uint64_t*)ep->local.flags;
    uint64_t value;
    int count = 0;
    unsigned i;

    for (i = 0; i < PUT_SLOTS; ++i) {
        value = flags[i];
        if (value == ep->flag_value[i]) {
            continue;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if ((value <= ep->flag_value[i]) || (value > opts.num_ops)) {
            die("endpoint %u: flag %u went from %" PRIu64 " to %" PRIu64,
                ep->index, i, ep->flag_value[i], value);
        }
        ep->flag_value[i] = value;
        put_arrived(ep, value - 1);
        ++count;
    }
    return count;
}

void target_init(void)
{
    static const ucp_am_recv_callback_t handlers[] = {
        [AM_DATA]     = am_data_cb,
        [AM_PUT_DONE] = am_put_done_cb,
        [AM_PUT_ACK]  = am_put_ack_cb
    };
    ucp_am_handler_param_t param;
    unsigned i, id;

    for (i = 0; i < opts.num_workers; ++i) {
        for (id = 0; id < (sizeof(handlers) / sizeof(handlers[0])); ++id) {
            param.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID |
                               UCP_AM_HANDLER_PARAM_FIELD_CB;
            param.id         = id;
            param.cb         = handlers[id];
            if (ucp_worker_set_am_recv_handler(workers[i], &param) != UCS_OK) {
                die("cannot set the handler of active messages");
            }
        }
    }
}
