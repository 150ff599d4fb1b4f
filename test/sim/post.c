/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"

#include <string.h>


/* What an operation's kind can take ---------------------------------------- */

static int is_rma(const op_t *op)
{
    return (op->type >= ACT_PUT_SHORT) && (op->type <= ACT_GET_ZCOPY);
}

static void choose_place(op_t *op)
{
    region_t *region = op->ep->target->region;

    if (op->length > region->size) {
        op->length = region->size;
    }

    op->region = region;
    if ((op->arg % 8) < 3) {
        /* many in one place */
        op->offset = (op->arg >> 8) % 256;
        if ((op->offset + op->length) > region->size) {
            op->offset = 0;
        }
    } else if (op->type <= ACT_PUT_ZCOPY) {
        /* mostly each in its own */
        if ((region->bump + op->length) > region->size) {
            region->bump = 0;
        }

        op->offset    = region->bump;
        region->bump += op->length;
    } else {
        op->offset = (op->arg >> 8) % (region->size - op->length + 1);
    }
}

void post_prepare(op_t *op)
{
    const vmp_iface_attr_t *attr = &op->ep->inst->attr;
    int has_ids                  = (op->ep->tag == WORLD_MAX_TAG);
    size_t max                   = attr->max_bcopy;
    size_t min                   = 0;

    /* what the device cannot do is done in another way */
    switch (op->type) {
    case ACT_AM_SHORT:
    case ACT_AM_IOV:
        max = attr->max_short;
        min = ((op->type == ACT_AM_SHORT) || has_ids) ? WORLD_IDS_LEN : 0;
        if (max < WORLD_IDS_LEN) {
            op->type = ACT_AM_BCOPY;
            max      = attr->max_bcopy;
        }
        break;
    case ACT_AM_ZCOPY:
        max = attr->max_zcopy_am;
        if (max == 0) {
            op->type = ACT_AM_BCOPY;
            max      = attr->max_bcopy;
        }
        /* fall through */
    case ACT_AM_BCOPY:
        min = has_ids ? WORLD_IDS_LEN : 0;
        break;
    case ACT_PUT_SHORT:
        max = attr->max_short;
        if (max == 0) {
            op->type = ACT_PUT_BCOPY;
            max      = attr->max_bcopy;
        }
        break;
    case ACT_PUT_ZCOPY:
    case ACT_GET_ZCOPY:
        max = op->length;
        break;
    default:
        break;
    }

    if (op->length > max) {
        /* limits are where the bugs are */
        op->length = (op->arg & 0x10000) ? max : op->length % (max + 1);
    }

    if (op->length < min) {
        op->length = min;
    }

    if (is_rma(op)) {
        choose_place(op);
    }
}


/* Contents ----------------------------------------------------------------- */

static void fill_message(const op_t *op, void *data)
{
    uint32_t ids[2] = {op->ep->id, op->seq};

    shadow_fill(data, op);
    if (op->ep->tag == WORLD_MAX_TAG) {
        memcpy(data, ids, sizeof(ids));
    }
}

int app_message_matches(const op_t *op, const void *data)
{
    uint32_t ids[2] = {op->ep->id, op->seq};

    if (op->ep->tag != WORLD_MAX_TAG) {
        return shadow_matches(data, op, 0);
    }

    return (memcmp(data, ids, sizeof(ids)) == 0) &&
           shadow_matches(data, op, WORLD_IDS_LEN);
}

static void fill(const op_t *op, void *data)
{
    if (is_rma(op)) {
        shadow_fill(data, op);
    } else {
        fill_message(op, data);
    }
}

static size_t pack(void *dest, void *arg)
{
    op_t *op = arg;

    oracle_check(!op->is_packed, "completion", "%s is packed twice",
                 op_str(op));
    op->is_packed = 1;
    fill(op, dest);
    return op->length;
}

/* Cut a buffer into pieces, also empty ones. Return how many. */
static unsigned cut(const op_t *op, uint8_t *data, size_t length,
                    const vmp_mem_t *mem, unsigned max, vmp_iov_t *iov)
{
    unsigned num = 1 + ((op->arg >> 4) % max);
    unsigned i;
    size_t part;

    for (i = 0; i < num; ++i) {
        part = ((i + 1) == num) ? length :
               ((size_t)(op->arg >> (8 + i)) % (length + 1));
        iov[i]  = (vmp_iov_t){data, part, mem};
        data   += part;
        length -= part;
    }

    return num;
}


/* Calls -------------------------------------------------------------------- */

static vmp_status_t post_am_short(op_t *op)
{
    uint8_t data[1024];
    vmp_status_t status;
    vmp_iov_t iov[VMP_MAX_IOV];
    uint64_t header;
    unsigned num;

    fill(op, data);
    if (op->type == ACT_AM_SHORT) {
        memcpy(&header, data, sizeof(header));
        status = vmp_ep_am_short(&op->ep->ep, op->ep->tag, header,
                                 data + sizeof(header),
                                 op->length - sizeof(header));
    } else {
        num    = cut(op, data, op->length, NULL, VMP_MAX_IOV, iov);
        status = vmp_ep_am_short_iov(&op->ep->ep, op->ep->tag, iov, num);
    }

    /* the buffer is ours again */
    memset(data, WORLD_POISON, sizeof(data));
    return status;
}

static vmp_status_t post_bcopy(op_t *op)
{
    vmp_ep_t *ep = &op->ep->ep;
    ssize_t ret;

    op->is_packed = 0;
    if (op->type == ACT_AM_BCOPY) {
        ret = vmp_ep_am_bcopy(ep, op->ep->tag, pack, op);
    } else {
        ret = vmp_ep_put_bcopy(ep, pack, op, (uintptr_t)op->region->data +
                               op->offset, &op->region->rkey);
    }

    oracle_check((ret < 0) || (op->is_packed &&
                 ((size_t)ret == op->length)), "completion",
                 "%s returned %zd", op_str(op), ret);
    return (ret < 0) ? (vmp_status_t)ret : VMP_OK;
}

static vmp_status_t post_put_short(op_t *op)
{
    uint8_t data[1024];
    vmp_status_t status;

    fill(op, data);
    status = vmp_ep_put_short(&op->ep->ep, data, op->length,
                              (uintptr_t)op->region->data + op->offset,
                              &op->region->rkey);
    memset(data, WORLD_POISON, sizeof(data));
    return status;
}

static vmp_status_t post_am_zcopy(op_t *op, void *comp)
{
    const vmp_iface_attr_t *attr = &op->ep->inst->attr;
    size_t hdr                   = (op->arg >> 16) % (op->length + 1);
    uint8_t header[1024];
    vmp_status_t status;
    vmp_iov_t iov[VMP_MAX_IOV];
    unsigned num;

    if (hdr > attr->max_zcopy_hdr) {
        hdr = attr->max_zcopy_hdr;
    }

    fill(op, op->buf->data);
    memcpy(header, op->buf->data, hdr);
    num    = cut(op, op->buf->data + hdr, op->length - hdr, &op->buf->mem,
                 attr->max_iov, iov);
    status = vmp_ep_am_zcopy(&op->ep->ep, op->ep->tag, header, hdr, iov, num,
                             comp);
    memset(header, WORLD_POISON, sizeof(header));
    return status;
}

static vmp_status_t post_rma_zcopy(op_t *op, void *comp)
{
    uint64_t addr = (uintptr_t)op->region->data + op->offset;
    vmp_iov_t iov[VMP_MAX_IOV];
    unsigned num;

    num = cut(op, op->buf->data, op->length, &op->buf->mem, VMP_MAX_IOV, iov);
    if (op->type == ACT_GET_ZCOPY) {
        return vmp_ep_get_zcopy(&op->ep->ep, iov, num, addr, &op->region->rkey,
                                comp);
    }

    fill(op, op->buf->data);
    return vmp_ep_put_zcopy(&op->ep->ep, iov, num, addr, &op->region->rkey,
                            comp);
}

static vmp_status_t post_zcopy(op_t *op)
{
    /* some do not want to know */
    void *comp = ((op->arg & 0xf000) == 0) && (op->type != ACT_GET_ZCOPY) ?
                 NULL : op;
    vmp_status_t status;

    op->buf      = buf_new(op->ep->inst->host, op->length);
    op->local    = (uintptr_t)op->buf->data;
    op->is_async = (comp != NULL);
    status       = (op->type == ACT_AM_ZCOPY) ? post_am_zcopy(op, comp) :
                                                post_rma_zcopy(op, comp);
    if (status != VMP_INPROGRESS) {
        /* nothing happened, or all that there was to do */
        op->is_async = 0;
        buf_retire(op->buf);
        op->buf = NULL;
    }

    return status;
}

static vmp_status_t post_get_bcopy(op_t *op)
{
    op->is_async = 1;
    return vmp_ep_get_bcopy(&op->ep->ep, (void (*)(void))pack, op, op->length,
                            (uintptr_t)op->region->data + op->offset,
                            &op->region->rkey, op);
}

static vmp_status_t post_fence(op_t *op)
{
    inst_t *inst = op->ep->inst;
    unsigned i;

    if (op->type == ACT_FENCE) {
        ++op->ep->epoch;
        return vmp_ep_fence(&op->ep->ep);
    }

    for (i = 0; i < WORLD_SLOTS; ++i) {
        if ((inst->host->slots[i] != NULL) &&
            (inst->host->slots[i]->inst == inst)) {
            ++inst->host->slots[i]->epoch;
        }
    }

    return vmp_iface_fence(inst->iface);
}

static vmp_status_t post_call(op_t *op)
{
    vmp_status_t status;

    switch (op->type) {
    case ACT_AM_SHORT:
    case ACT_AM_IOV:
        return post_am_short(op);
    case ACT_AM_BCOPY:
    case ACT_PUT_BCOPY:
        return post_bcopy(op);
    case ACT_AM_ZCOPY:
    case ACT_PUT_ZCOPY:
    case ACT_GET_ZCOPY:
        return post_zcopy(op);
    case ACT_PUT_SHORT:
        return post_put_short(op);
    case ACT_GET_BCOPY:
        return post_get_bcopy(op);
    case ACT_FENCE:
    case ACT_IFACE_FENCE:
        return post_fence(op);
    case ACT_CHECK:
        return vmp_ep_check(&op->ep->ep);
    case ACT_IFACE_FLUSH:
        status = vmp_iface_flush(op->ep->inst->iface);
        if (status == VMP_OK) {
            oracle_iface_flushed(op->ep->inst);
        }
        return VMP_OK;
    default:
        op->is_async = 1;
        return vmp_ep_flush(&op->ep->ep, op->is_cancel ? VMP_FLUSH_CANCEL : 0,
                            op);
    }
}

vmp_status_t post_op(op_t *op)
{
    user_ep_t *ep = op->ep;
    int is_am     = (op->type >= ACT_AM_SHORT) && (op->type <= ACT_AM_ZCOPY);
    uint64_t sn   = ep->ep.conn->tx_sn;
    vmp_status_t status;

    op->sn          = sn;
    op->peer_conn   = ep->ep.conn->peer_conn;
    op->peer_incarn = ep->ep.conn->peer_incarn;
    op->seq         = is_am ? ep->num_msgs : 0;
    op->epoch       = ep->epoch;
    op->key         = ((uint64_t)op->id + 1) << 40;
    op->posted      = ++world.stamp;
    world.calling   = op;
    status          = post_call(op);
    world.calling   = NULL;
    if (status < 0) {
        op->is_async = 0;
        oracle_check(ep->ep.conn->tx_sn == sn, "sn", "%s was refused, but used "
                     "an SN", op_str(op));
        return status;
    }

    oracle_check(ep->ep.conn->tx_sn == (sn + is_am), "sn", "%s: the next SN "
                 "was %lu and is %lu", op_str(op), (unsigned long)sn,
                 (unsigned long)ep->ep.conn->tx_sn);
    oracle_check((status == VMP_OK) || (status == VMP_INPROGRESS),
                 "completion", "%s returned %d", op_str(op), status);
    op->is_async = op->is_async && (status == VMP_INPROGRESS);
    op->path     = is_am ? inspect_path_of(ep->ep.conn, sn) : 0;
    oracle_posted(op, status);
    return status;
}
