/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_work.h"


void work_make(work_t *work)
{
    memset(work, 0, sizeof(*work));
    region_make(&work->local, 0, REGION, 1);
    region_make(&work->remote, 1, REGION, 2);
}

void work_free(work_t *work)
{
    region_free(&work->local);
    region_free(&work->remote);
}

void work_start(work_t *work, stream_t *stream)
{
    uint64_t addr = (uintptr_t)work->remote.data;
    vmp_status_t status;
    comp_t *comp;
    vmp_iov_t iov;
    unsigned i;

    for (i = 0; i < NUM_OPS; ++i) {
        iov  = (vmp_iov_t){work->local.data, (i % 2) ? REGION : 500,
                           &work->local.mem};
        comp = &work->comps[work->num];
        switch (i % 4) {
        case 0:
            status = stream_send(stream, SEND_ZCOPY, 200, comp);
            break;
        case 1:
            status = vmp_ep_put_zcopy(&stream->ep, &iov, 1, addr,
                                      &work->remote.rkey, comp);
            break;
        case 2:
            status = vmp_ep_get_bcopy(&stream->ep, (void (*)(void))
                                      stream->node->iface->ops.unpack,
                                      work->local.data, 300, addr,
                                      &work->remote.rkey, comp);
            break;
        default:
            status = vmp_ep_get_zcopy(&stream->ep, &iov, 1, addr,
                                      &work->remote.rkey, comp);
            break;
        }

        VMP_CHECK((status == VMP_INPROGRESS) ||
                  (status == VMP_ERR_NO_RESOURCE));
        work->num += (status == VMP_INPROGRESS);
        stream_send(stream, SEND_SHORT, 16, NULL);
        stream_send(stream, SEND_BCOPY, 16, NULL);
    }

    VMP_CHECK(work->num >= NUM_OPS / 2);
    VMP_CHECK(vmp_ep_flush(&stream->ep, 0, &work->flushed) == VMP_INPROGRESS);
}

int work_put(work_t *work, stream_t *stream, comp_t *comp)
{
    vmp_iov_t iov = {work->local.data, 100, &work->local.mem};

    return vmp_ep_put_zcopy(&stream->ep, &iov, 1, (uintptr_t)work->remote.data,
                            &work->remote.rkey, comp) == VMP_INPROGRESS;
}

void work_put_refused(work_t *work, stream_t *stream, comp_t *comp)
{
    const vmp_rkey_t key = work->remote.rkey;

    work->remote.rkey.key[0] ^= 0x5a5a;
    VMP_CHECK(work_put(work, stream, comp));
    work->remote.rkey = key;
}

void work_check_failed(work_t *work, vmp_status_t status)
{
    unsigned failed = 0;
    unsigned i;

    for (i = 0; i < work->num; ++i) {
        VMP_CHECK(work->comps[i].calls == 1);
        VMP_CHECK((work->comps[i].status == VMP_OK) ||
                  (work->comps[i].status == status));
        failed += (work->comps[i].status != VMP_OK);
    }

    VMP_CHECK(failed > 0);
    VMP_CHECK((work->flushed.calls == 1) && (work->flushed.status == status));
}

void work_check_idle(const node_t *node)
{
    vmp_iface_t *iface = node->iface;

    world_until(vmp_iface_flush(iface) == VMP_OK, 100);
    VMP_CHECK(iface->outstanding == 0);
    VMP_CHECK(vmp_list_is_empty(&iface->failing) &&
              vmp_list_is_empty(&iface->draining) &&
              vmp_list_is_empty(&iface->done));
}
