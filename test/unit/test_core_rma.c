/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"

#define REGION  65536                   /* bytes */


typedef struct pack_arg {
    const uint8_t *data;
    size_t        length;
} pack_arg_t;

static size_t pack(void *dest, void *ptr)
{
    const pack_arg_t *arg = ptr;

    memcpy(dest, arg->data, arg->length);
    return arg->length;
}

static void flush(stream_t *stream)
{
    vmp_status_t status;
    comp_t comp = {0};

    do {
        status = vmp_ep_flush(&stream->ep, 0, &comp);
        world_step();
    } while (status == VMP_ERR_NO_RESOURCE);

    if (status == VMP_INPROGRESS) {
        world_until(comp.calls > 0, 1000);
        VMP_CHECK((comp.calls == 1) && (comp.status == VMP_OK));
    } else {
        VMP_CHECK(status == VMP_OK);
    }
}

static void send_zcopy(stream_t *stream)
{
    stream_send(stream, SEND_ZCOPY, 400, NULL);
}

/* As many as there is room for */
static void send_shorts(stream_t *stream)
{
    while (stream_send(stream, SEND_SHORT, 16, NULL) == VMP_OK);
}

/* Pieces of [offset, offset + length) of a region */
static unsigned split(const region_t *region, size_t offset, size_t length,
                      vmp_iov_t *iov)
{
    unsigned num = 1 + (sim_random() % VMP_MAX_IOV);
    size_t part;
    unsigned i;

    for (i = 0; i < num; ++i) {
        part = (i == num - 1) ? length : (sim_random() % (length + 1));
        iov[i] = (vmp_iov_t){region->data + offset, part, &region->mem};
        offset += part;
        length -= part;
    }

    return num;
}

/* One random put or get; then both sides hold the same */
static void random_op(stream_t *stream, region_t *local, region_t *remote,
                      comp_t *comp, unsigned *expected)
{
    unsigned type = sim_random() % 5;
    size_t max    = (type == 0) ? 100 : ((type == 1) || (type == 4)) ? 512 :
                    20000;
    size_t length = 1 + (sim_random() % max);
    size_t from   = sim_random() % (REGION - length + 1);
    size_t to     = sim_random() % (REGION - length + 1);
    uint64_t addr = (uintptr_t)remote->data + to;
    vmp_status_t status;
    pack_arg_t arg;
    uint8_t *data;
    vmp_iov_t iov[VMP_MAX_IOV];
    unsigned num;
    ssize_t ret;

    data = local->data + from;
    do {
        switch (type) {
        case 0:
            status = vmp_ep_put_short(&stream->ep, data, length, addr,
                                      &remote->rkey);
            break;
        case 1:
            arg    = (pack_arg_t){data, length};
            ret    = vmp_ep_put_bcopy(&stream->ep, pack, &arg, addr,
                                      &remote->rkey);
            status = (ret < 0) ? (vmp_status_t)ret : VMP_OK;
            break;
        case 2:
            num    = split(local, from, length, iov);
            status = vmp_ep_put_zcopy(&stream->ep, iov, num, addr,
                                      &remote->rkey, comp);
            break;
        case 3:
            num    = split(local, from, length, iov);
            status = vmp_ep_get_zcopy(&stream->ep, iov, num, addr,
                                      &remote->rkey, comp);
            break;
        default:
            status = vmp_ep_get_bcopy(&stream->ep,
                                      (void (*)(void))
                                      stream->node->iface->ops.unpack,
                                      data, length, addr, &remote->rkey, comp);
            break;
        }

        if (status == VMP_ERR_NO_RESOURCE) {
            world_step();
        }
    } while (status == VMP_ERR_NO_RESOURCE);

    VMP_CHECK(status == ((type < 2) ? VMP_OK : VMP_INPROGRESS));
    *expected += (type >= 2);
    flush(stream);
    VMP_CHECK(!memcmp(data, remote->data + to, length));
}

/* Every kind, sizes, pieces and offsets; memory is compared */
static void test_memory(uint64_t seed)
{
    unsigned expected = 0;
    comp_t comp       = {0};
    region_t local;
    region_t remote;
    stream_t stream;
    unsigned i;

    world_begin("memory", seed);
    sim_conf.qp_jitter           = 5000;
    sim_conf.max_sge          = 1 + (sim_random() % 5);
    world_params.spread_thresh = (sim_random() % 2) * 700;
    world_params.chunk_size    = 1 + (sim_random() % 3000);
    world_open(2);
    region_make(&local, 0, REGION, 1);
    region_make(&remote, 1, REGION, 77);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    for (i = 0; i < 200; ++i) {
        random_op(&stream, &local, &remote, &comp, &expected);
        VMP_CHECK((comp.calls == (int)expected) && (comp.status == VMP_OK));
    }

    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* Many large puts at once to two peers: all complete, all paths carry */
static void test_parallel(uint64_t seed)
{
    vmp_path_counters_t counters[4];
    comp_t comp = {0};
    region_t local;
    region_t remote[2];
    stream_t streams[2];
    vmp_iov_t iov;
    unsigned i;

    world_begin("parallel", seed);
    world_open(3);
    region_make(&local, 0, REGION, 1);
    for (i = 0; i < 2; ++i) {
        region_make(&remote[i], i + 1, REGION, i + 2);
        stream_open(&streams[i], 0, i + 1);
        stream_wait_paths(&streams[i], 4);
    }

    iov = (vmp_iov_t){local.data, REGION, &local.mem};
    for (i = 0; i < 20; ++i) {
        VMP_CHECK(vmp_ep_put_zcopy(&streams[i % 2].ep, &iov, 1,
                                   (uintptr_t)remote[i % 2].data,
                                   &remote[i % 2].rkey, &comp) ==
                  VMP_INPROGRESS);
    }

    world_until(comp.calls == 20, 100);
    VMP_CHECK(vmp_iface_flush(world_nodes[0].iface) == VMP_OK);
    for (i = 0; i < 2; ++i) {
        VMP_CHECK(!memcmp(local.data, remote[i].data, REGION));
        VMP_CHECK(vmp_ep_get_path_counters(&streams[i].ep, counters, 4) == 4);
        VMP_CHECK(counters[0].tx_bytes + counters[1].tx_bytes +
                  counters[2].tx_bytes + counters[3].tx_bytes == 10 * REGION);
        VMP_CHECK((counters[0].tx_bytes > REGION) &&
                  (counters[3].tx_bytes > REGION));
        stream_close(&streams[i]);
        region_free(&remote[i]);
    }

    region_free(&local);
    world_end();
}

/* Spread messages get through while puts fill all windows */
static void test_share(uint64_t seed)
{
    comp_t comp = {0};
    region_t local;
    region_t remote;
    stream_t stream;
    vmp_iov_t iov;
    unsigned i;

    world_begin("messages beside puts", seed);
    world_open(2);
    region_make(&local, 0, REGION, 1);
    region_make(&remote, 1, REGION, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    stream.keep_waiting = 1;
    iov = (vmp_iov_t){local.data, REGION, &local.mem};
    for (i = 0; i < 60; ++i) {
        VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1,
                                   (uintptr_t)remote.data, &remote.rkey,
                                   &comp) == VMP_INPROGRESS);
    }

    stream.on_ready = send_zcopy;
    vmp_ep_wait_ready(&stream.ep);
    world_until(comp.calls >= 30, 1000);
    printf("  %lu messages\n", world_nodes[1].received);
    VMP_CHECK(world_nodes[1].received > 30);
    world_until(comp.calls == 60, 1000);
    vmp_ep_cancel_wait(&stream.ep);
    flush(&stream);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* And a put gets through while messages take all the room there is */
static void test_share_put(uint64_t seed)
{
    comp_t comp = {0};
    region_t local;
    region_t remote;
    stream_t stream;
    vmp_iov_t iov;

    world_begin("a put beside messages", seed);
    world_params.num_paths     = 1;
    world_params.port.sq_depth = 16;
    world_open(2);
    region_make(&local, 0, REGION, 1);
    region_make(&remote, 1, REGION, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    stream.keep_waiting = 1;
    stream.on_ready     = send_shorts;
    vmp_ep_wait_ready(&stream.ep);
    world_until(world_nodes[1].received > 1000, 1000);
    iov = (vmp_iov_t){local.data, REGION, &local.mem};
    VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &comp) == VMP_INPROGRESS);
    world_until(comp.calls == 1, 1000);
    vmp_ep_cancel_wait(&stream.ep);
    flush(&stream);
    VMP_CHECK(!memcmp(local.data, remote.data, REGION));
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

static region_t *watch_region;
static uint8_t watch_value;
static unsigned watched;

static void watch(node_t *node)
{
    size_t i;

    (void)node;
    for (i = 0; i < watch_region->size; ++i) {
        VMP_CHECK(watch_region->data[i] == watch_value);
    }

    ++watched;
}

/* put, fence, message: the message finds the data, however slow its path */
static void test_fence(uint64_t seed)
{
    comp_t comp = {0};
    region_t local;
    region_t remote;
    stream_t stream;
    vmp_iov_t iov;
    unsigned i;

    world_begin("fence", seed);
    world_params.spread_thresh = 100;
    world_open(2);
    region_make(&local, 0, 8192, 1);
    region_make(&remote, 1, 8192, 1);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    stream_sim(&stream, 2)->delay = 200000;
    watch_region                 = &remote;
    watched                      = 0;
    world_nodes[1].on_am         = watch;
    iov = (vmp_iov_t){local.data, local.size, &local.mem};
    for (i = 0; i < 50; ++i) {
        watch_value = i;
        memset(local.data, i, local.size);
        VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1,
                                   (uintptr_t)remote.data, &remote.rkey,
                                   &comp) == VMP_INPROGRESS);
        VMP_CHECK(vmp_ep_fence(&stream.ep) == VMP_OK);
        VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) ==
                  VMP_ERR_NO_RESOURCE);
        VMP_CHECK(!vmp_ep_is_ready(&stream.ep));
        vmp_ep_wait_ready(&stream.ep);
        world_until(stream.ready == (int)i + 1, 100);
        VMP_CHECK(comp.calls == (int)i + 1);
        VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
        world_until(watched == i + 1, 100);
    }

    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* What went over one path only needs no wait: later ones stay on it */
static void test_fence_pin(uint64_t seed)
{
    region_t local;
    region_t remote;
    stream_t stream;
    unsigned i;
    vmp_iov_t iov;
    comp_t comp = {0};

    world_begin("fence on one path", seed);
    world_params.spread_thresh = 100;
    world_open(2);
    region_make(&local, 0, 64, 1);
    region_make(&remote, 1, 64, 1);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    sim_conf.qp_jitter     = 0;
    watch_region         = &remote;
    watched              = 0;
    world_nodes[1].on_am = watch;
    for (i = 0; i < 100; ++i) {
        watch_value = i;
        memset(local.data, i, local.size);
        VMP_CHECK(vmp_ep_put_short(&stream.ep, local.data, 64,
                                   (uintptr_t)remote.data, &remote.rkey) ==
                  VMP_OK);
        VMP_CHECK(vmp_iface_fence(stream.node->iface) == VMP_OK);
        VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
        VMP_CHECK(stream.ep.conn->is_pinned || (i == 0));
        world_until(watched == i + 1, 100);
    }

    /* spread ones wait for the fence, and it ends though nothing was signalled
     * behind it */
    VMP_CHECK(vmp_ep_put_short(&stream.ep, local.data, 64,
                               (uintptr_t)remote.data, &remote.rkey) == VMP_OK);
    VMP_CHECK(vmp_ep_fence(&stream.ep) == VMP_OK);
    VMP_CHECK(stream_send(&stream, SEND_ZCOPY, 300, NULL) ==
              VMP_ERR_NO_RESOURCE);
    iov = (vmp_iov_t){local.data, 64, &local.mem};
    VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &comp) == VMP_INPROGRESS);
    vmp_ep_wait_ready(&stream.ep);
    world_until(!stream.ep.conn->is_pinned, 100);
    VMP_CHECK(stream_send(&stream, SEND_ZCOPY, 300, NULL) == VMP_INPROGRESS);
    flush(&stream);
    world_until(watched == 101, 100);

    /* a read does not keep the order by itself */
    VMP_CHECK(vmp_ep_get_zcopy(&stream.ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &comp) == VMP_INPROGRESS);
    VMP_CHECK(vmp_ep_fence(&stream.ep) == VMP_OK);
    VMP_CHECK(vmp_ep_put_short(&stream.ep, local.data, 8,
                               (uintptr_t)remote.data, &remote.rkey) ==
              VMP_ERR_NO_RESOURCE);
    world_until(comp.calls == 2, 100);
    VMP_CHECK(vmp_ep_put_short(&stream.ep, local.data, 8,
                               (uintptr_t)remote.data, &remote.rkey) == VMP_OK);
    flush(&stream);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* data, fence, flag: whoever sees the flag sees the data, at any time */
static void test_fence_flag(uint64_t seed)
{
    comp_t comp   = {0};
    uint32_t flag = 0;
    uint32_t seen;
    region_t local;
    region_t remote;
    stream_t stream;
    vmp_iov_t iov;
    size_t i;
    uint64_t steps;
    vmp_status_t status;
    int is_written = 0;

    world_begin("fence and flag", seed);
    sim_conf.qp_jitter           = 20000;
    world_params.spread_thresh = sim_random() % 3000;
    world_open(2);
    region_make(&local, 0, 16384, 1);
    region_make(&remote, 1, 16384, 1);
    memset(local.data, 0, local.size);
    memset(remote.data, 0, remote.size);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    stream_sim(&stream, 1)->delay = 100000;
    for (steps = 0; flag < 200; ++steps) {
        VMP_CHECK(steps < 1000000);
        memcpy(&seen, remote.data, 4);
        for (i = 4; i < remote.size; ++i) {
            VMP_CHECK((remote.data[i] == (uint8_t)seen) ||
                      (remote.data[i] == (uint8_t)(seen + 1)));
        }

        world_step();
        if (!is_written) {
            /* the buffer may be written again when its put is complete */
            if ((comp.calls != (int)flag) || (seen != flag)) {
                continue;
            }

            memset(local.data + 4, flag + 1, local.size - 4);
            iov = (vmp_iov_t){local.data + 4, local.size - 4, &local.mem};
            if (vmp_ep_put_zcopy(&stream.ep, &iov, 1,
                                 (uintptr_t)remote.data + 4, &remote.rkey,
                                 &comp) == VMP_INPROGRESS) {
                is_written = 1;
                VMP_CHECK(vmp_ep_fence(&stream.ep) == VMP_OK);
            }
        } else {
            ++flag;
            status = vmp_ep_put_short(&stream.ep, &flag, 4,
                                      (uintptr_t)remote.data, &remote.rkey);
            if (status == VMP_OK) {
                is_written = 0;
            } else {
                VMP_CHECK(status == VMP_ERR_NO_RESOURCE);
                --flag;
            }
        }
    }

    flush(&stream);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* Flushes end in order, each behind what came before it */
static void test_flush(uint64_t seed)
{
    comp_t comps[8] = {{0}};
    comp_t put      = {0};
    region_t local;
    region_t remote;
    stream_t stream;
    vmp_iov_t iov;
    unsigned i;

    world_begin("flush", seed);
    world_params.spread_thresh = 100;
    world_open(2);
    region_make(&local, 0, REGION, 1);
    region_make(&remote, 1, REGION, 2);
    stream_open(&stream, 0, 1);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, &comps[0]) == VMP_OK);
    stream_wait_paths(&stream, 4);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, &comps[0]) == VMP_OK);
    VMP_CHECK(vmp_iface_flush(stream.node->iface) == VMP_OK);

    /* a message that is not signalled */
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, NULL) == VMP_INPROGRESS);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, &comps[0]) == VMP_INPROGRESS);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, &comps[1]) == VMP_INPROGRESS);
    VMP_CHECK(comps[0].calls == 0);
    world_until(comps[0].calls == 1, 100);
    VMP_CHECK((comps[1].calls == 1) && (world_nodes[1].received == 1));
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, NULL) == VMP_OK);

    VMP_CHECK(stream_send(&stream, SEND_BCOPY, 16, NULL) == VMP_OK);
    VMP_CHECK(vmp_iface_flush(stream.node->iface) == VMP_INPROGRESS);
    world_until(vmp_iface_flush(stream.node->iface) == VMP_OK, 100);

    stream_sim(&stream, 3)->delay = 100000;
    iov = (vmp_iov_t){local.data, REGION, &local.mem};
    for (i = 2; i < 8; ++i) {
        VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1,
                                   (uintptr_t)remote.data, &remote.rkey,
                                   &put) == VMP_INPROGRESS);
        VMP_CHECK(vmp_ep_flush(&stream.ep, 0, &comps[i]) == VMP_INPROGRESS);
    }

    for (i = 2; i < 8; ++i) {
        world_until(comps[i].calls == 1, 100);
        VMP_CHECK((put.calls >= (int)i - 1) && (comps[i].status == VMP_OK));
    }

    VMP_CHECK(stream.ep.conn->bar_head == stream.ep.conn->bar_open);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* No write without length goes behind a read in flight, which soft-RoCE
 * may refuse to repeat */
static void test_flush_read(uint64_t seed)
{
    comp_t flushed = {0};
    comp_t get     = {0};
    const vmp_path_t *path;
    region_t local;
    region_t remote;
    stream_t stream;
    uint32_t pos;
    vmp_iov_t iov;

    world_begin("flush behind a read", seed);
    world_params.num_paths = 1;
    world_open(2);
    region_make(&local, 0, 64, 1);
    region_make(&remote, 1, 64, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    path = stream.ep.conn->tx_path;
    pos  = path->head;
    iov  = (vmp_iov_t){local.data, 64, &local.mem};
    VMP_CHECK(vmp_ep_get_zcopy(&stream.ep, &iov, 1, (uintptr_t)remote.data,
                               &remote.rkey, &get) == VMP_INPROGRESS);
    VMP_CHECK(vmp_ep_put_short(&stream.ep, local.data, 8,
                               (uintptr_t)remote.data, &remote.rkey) == VMP_OK);
    VMP_CHECK(vmp_ep_flush(&stream.ep, 0, &flushed) == VMP_INPROGRESS);
    VMP_CHECK((path->num_reads == 1) && (path->head == pos + 2));
    VMP_CHECK(path->ring[pos & path->mask].kind == VMP_WR_GET_CHUNK);
    world_until(get.calls == 1, 100);
    VMP_CHECK((flushed.calls == 0) && (path->num_reads == 0));
    VMP_CHECK(path->ring[(pos + 2) & path->mask].kind == VMP_WR_NOP);
    world_until(flushed.calls == 1, 100);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

/* CANCEL drops chunks that were not posted */
static void test_cancel(uint64_t seed)
{
    comp_t flushed = {0};
    comp_t put     = {0};
    region_t local;
    region_t remote;
    stream_t stream;
    vmp_iov_t iov;
    unsigned i;

    world_begin("cancel", seed);
    world_params.path_window = REGION / 8;
    world_open(2);
    region_make(&local, 0, REGION, 1);
    region_make(&remote, 1, REGION, 2);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    iov = (vmp_iov_t){local.data, REGION, &local.mem};
    for (i = 0; i < 10; ++i) {
        VMP_CHECK(vmp_ep_put_zcopy(&stream.ep, &iov, 1,
                                   (uintptr_t)remote.data, &remote.rkey,
                                   &put) == VMP_INPROGRESS);
    }

    VMP_CHECK(vmp_ep_flush(&stream.ep, VMP_FLUSH_CANCEL, &flushed) ==
              VMP_INPROGRESS);
    VMP_CHECK(put.calls == 0);
    world_until(flushed.calls == 1, 100);
    VMP_CHECK((put.calls == 10) && (put.status == VMP_ERR_CANCELED));
    VMP_CHECK(stream_send(&stream, SEND_SHORT, 16, NULL) == VMP_OK);
    flush(&stream);
    stream_close(&stream);
    region_free(&local);
    region_free(&remote);
    world_end();
}

static void run(uint64_t seed)
{
    unsigned i;

    for (i = 0; i < vmp_check_env("VMP_TEST_COUNT", 5); ++i) {
        test_memory(seed + i);
        test_fence_flag(seed + i);
    }

    test_parallel(seed);
    test_share(seed);
    test_share_put(seed);
    test_fence(seed);
    test_fence_pin(seed);
    test_flush(seed);
    test_flush_read(seed);
    test_cancel(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
