/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"
#include "core/vmp_path.h"

#define NUM_PEERS  4                    /* that are flushed or fenced */
#define LARGE      (8u << 20)           /* bytes */
#define CHUNK      4096
#define WINDOW     (4 * CHUNK)


static int cq_has_room(const node_t *node)
{
    const vmp_rail_t *rail = &node->iface->rails[0];

    return rail->cq_avail > rail->cq_reserve;
}

/* Nops to know that messages are done find a CQ that others have filled: they
 * follow when these complete */
static void test_nop_full_cq(uint64_t seed, int is_fence)
{
    comp_t flushed[NUM_PEERS] = {{0}};
    comp_t comp               = {0};
    int num_puts              = 0;
    stream_t streams[NUM_PEERS];
    stream_t other;
    region_t local;
    region_t remote;
    vmp_conn_t *conn;
    vmp_iov_t iov;
    unsigned i;

    world_begin(is_fence ? "fence, CQ full" : "flush, CQ full", seed);
    world_params.port.cq_depth = 16;
    world_params.num_paths     = 1;
    world_open(NUM_PEERS + 2);
    region_make(&local, 0, 4096, 1);
    region_make(&remote, NUM_PEERS + 1, 4096, 2);
    stream_open(&other, 0, NUM_PEERS + 1);
    stream_wait_paths(&other, 1);
    for (i = 0; i < NUM_PEERS; ++i) {
        stream_open(&streams[i], 0, i + 1);
        stream_wait_paths(&streams[i], 1);
        VMP_CHECK(stream_send(&streams[i], SEND_SHORT, 16, NULL) == VMP_OK);
        VMP_CHECK(streams[i].ep.conn->paths[0]->unsig == 1);
    }

    iov = (vmp_iov_t){local.data, 100, &local.mem};
    while (cq_has_room(&world_nodes[0])) {
        VMP_CHECK(vmp_ep_put_zcopy(&other.ep, &iov, 1, (uintptr_t)remote.data,
                                   &remote.rkey, &comp) == VMP_INPROGRESS);
        ++num_puts;
    }

    for (i = 0; i < NUM_PEERS; ++i) {
        conn = streams[i].ep.conn;
        if (is_fence) {
            /* as if it had used another path before: no pinning */
            ++conn->reads;
            VMP_CHECK(vmp_ep_fence(&streams[i].ep) == VMP_OK);
            --conn->reads;
            VMP_CHECK(conn->block & VMP_BLOCK_FENCE);
        } else {
            VMP_CHECK(vmp_ep_flush(&streams[i].ep, 0, &flushed[i]) ==
                      VMP_INPROGRESS);
        }
    }

    VMP_CHECK(!vmp_list_is_empty(&world_nodes[0].iface->rails[0].forcing));
    for (i = 0; i < NUM_PEERS; ++i) {
        conn = streams[i].ep.conn;
        world_until(conn->outstanding == 0, 100);
        VMP_CHECK(flushed[i].calls == !is_fence);
    }

    world_until(comp.calls == num_puts, 100);
    VMP_CHECK(vmp_list_is_empty(&world_nodes[0].iface->rails[0].forcing));
    stream_close(&other);
    for (i = 0; i < NUM_PEERS; ++i) {
        VMP_CHECK(stream_send(&streams[i], SEND_SHORT, 16, NULL) == VMP_OK);
        stream_close(&streams[i]);
    }

    region_free(&local);
    region_free(&remote);
    world_end();
}

/* A put to node 1 of a large region, chunk by chunk */
typedef struct bulk {
    stream_t stream;
    region_t local;
    region_t remote;
    comp_t   comp;
} bulk_t;

static void bulk_open(bulk_t *bulk, unsigned num_paths)
{
    memset(bulk, 0, sizeof(*bulk));
    world_params.num_paths     = num_paths;
    world_params.chunk_size    = CHUNK;
    world_params.path_window   = WINDOW;
    world_params.spread_thresh = CHUNK;
    world_params.port.sq_depth = 256;
    world_params.port.cq_depth = 4096;
    world_open(2);
    region_make(&bulk->local, 0, LARGE, 1);
    region_make(&bulk->remote, 1, LARGE, 2);
    stream_open(&bulk->stream, 0, 1);
    stream_wait_paths(&bulk->stream, num_paths);
}

static void bulk_put(bulk_t *bulk, size_t length)
{
    vmp_iov_t iov = {bulk->local.data, length, &bulk->local.mem};

    bulk->comp = (comp_t){0};
    VMP_CHECK(vmp_ep_put_zcopy(&bulk->stream.ep, &iov, 1,
                               (uintptr_t)bulk->remote.data,
                               &bulk->remote.rkey,
                               &bulk->comp) == VMP_INPROGRESS);
}

static void bulk_close(bulk_t *bulk)
{
    stream_close(&bulk->stream);
    region_free(&bulk->local);
    region_free(&bulk->remote);
    world_end();
}

/* What the program computes without a poll, and then one poll. Return bytes that
 * were in flight meanwhile. */
static size_t bulk_compute(bulk_t *bulk)
{
    const vmp_conn_t *conn = bulk->stream.ep.conn;
    size_t inflight        = 0;
    unsigned i;

    for (i = 0; i < conn->num_paths; ++i) {
        inflight += conn->pol_paths[i].inflight;
    }

    world_nodes[0].is_paused = 1;
    world_run(1000000);
    world_nodes[0].is_paused = 0;
    vmp_iface_progress(world_nodes[0].iface);
    return inflight;
}

/* The program polls now and then: each time twice as much is bound, up to what
 * queues hold; under steady polls it falls back to the windows as set */
static void test_rare_polls(uint64_t seed)
{
    size_t inflight;
    size_t last = 0;
    unsigned i;
    bulk_t bulk;

    world_begin("rare polls", seed);
    bulk_open(&bulk, 4);
    bulk_put(&bulk, LARGE);
    for (i = 0; !bulk.comp.calls; ++i) {
        inflight = bulk_compute(&bulk);
        printf("  %zu bytes in flight\n", inflight);
        VMP_CHECK((i > 0) || (inflight == 4 * WINDOW));
        VMP_CHECK((i == 0) || (inflight > last) || (i > 5) ||
                  bulk.comp.calls);
        last = inflight;
    }

    VMP_CHECK(i <= 8);
    VMP_CHECK(!memcmp(bulk.local.data, bulk.remote.data, LARGE));

    /* the next is bound deep at once */
    bulk_put(&bulk, LARGE);
    VMP_CHECK(bulk_compute(&bulk) >= 16 * 4 * WINDOW);
    world_until(bulk.comp.calls == 1, 100);

    stream_sim(&bulk.stream, 0)->jitter = 50000;
    stream_sim(&bulk.stream, 1)->jitter = 50000;
    for (i = 0; (i < 200) && (bulk.stream.ep.conn->deepen > 0); ++i) {
        bulk_put(&bulk, 1u << 20);
        world_until(bulk.comp.calls == 1, 1000);
    }

    VMP_CHECK(bulk.stream.ep.conn->deepen == 0);
    VMP_CHECK(bulk.stream.ep.conn->pol_paths[0].window == WINDOW);
    bulk_close(&bulk);
}

/* Steady polls: what is in flight stays within the windows as set */
static void test_steady_polls(uint64_t seed)
{
    unsigned i;
    unsigned j;
    bulk_t bulk;

    world_begin("steady polls", seed);
    sim_conf.qp_jitter = 50000;
    bulk_open(&bulk, 4);
    for (i = 0; i < 3; ++i) {
        bulk_put(&bulk, LARGE / 4);
        while (!bulk.comp.calls) {
            world_step();
            for (j = 0; j < 4; ++j) {
                VMP_CHECK(bulk.stream.ep.conn->pol_paths[j].inflight <=
                          WINDOW);
            }
        }
    }

    VMP_CHECK(bulk.stream.ep.conn->deepen == 0);
    bulk_close(&bulk);
}

/* With one path there is nothing to bind late for: all that the queue holds, but
 * a message still finds room */
static void test_one_path(uint64_t seed)
{
    bulk_t bulk;

    world_begin("one path", seed);
    bulk_open(&bulk, 1);
    bulk_put(&bulk, LARGE / 16);
    VMP_CHECK(stream_send(&bulk.stream, SEND_SHORT, 16, NULL) == VMP_OK);
    bulk_compute(&bulk);
    VMP_CHECK(bulk.comp.calls == 1);
    bulk_put(&bulk, LARGE);
    VMP_CHECK(stream_send(&bulk.stream, SEND_SHORT, 16, NULL) == VMP_OK);
    VMP_CHECK(bulk_compute(&bulk) >= 180 * CHUNK);
    world_until(bulk.comp.calls == 1, 100);
    bulk_close(&bulk);
}

static vmp_status_t put_small(stream_t *stream, const region_t *local,
                              const region_t *remote, comp_t *comp)
{
    vmp_iov_t iov = {local->data, 100, &local->mem};

    return vmp_ep_put_zcopy(&stream->ep, &iov, 1, (uintptr_t)remote->data,
                            &remote->rkey, comp);
}

typedef struct flood {
    stream_t stream;
    region_t local;
    region_t remote;
    comp_t   comp;
    int      num_puts;
    int      max_puts;
} flood_t;

static void flood_ready(stream_t *stream)
{
    flood_t *flood = vmp_container_of(stream, flood_t, stream);
    vmp_status_t status;

    VMP_CHECK(flood->num_puts < flood->max_puts);
    do {
        status           = put_small(stream, &flood->local, &flood->remote,
                                     &flood->comp);
        flood->num_puts += (status == VMP_INPROGRESS);
    } while ((status == VMP_INPROGRESS) &&
             (flood->num_puts < flood->max_puts));

    stream->keep_waiting = (flood->num_puts < flood->max_puts);
}

/* Puts beyond what queue and paths hold are refused, and whoever waits is called
 * as soon as there is room for one more */
static void test_ops_max(uint64_t seed)
{
    flood_t flood = {.max_puts = 1000};
    int num;

    world_begin("many puts", seed);
    world_params.num_paths     = 1;
    world_params.port.sq_depth = 64;
    world_open(2);
    region_make(&flood.local, 0, 4096, 1);
    region_make(&flood.remote, 1, 4096, 2);
    stream_open(&flood.stream, 0, 1);
    stream_wait_paths(&flood.stream, 1);
    for (num = 0; put_small(&flood.stream, &flood.local, &flood.remote,
                            &flood.comp) == VMP_INPROGRESS; ++num);
    printf("  %d puts accepted\n", num);
    VMP_CHECK((num > 64) && (num <= (2 * 64)));
    VMP_CHECK(flood.stream.ep.conn->num_ops == 64);
    VMP_CHECK(!vmp_ep_is_ready(&flood.stream.ep));
    VMP_CHECK(stream_send(&flood.stream, SEND_SHORT, 16, NULL) ==
              VMP_ERR_NO_RESOURCE);

    flood.num_puts            = num;
    flood.stream.on_ready     = flood_ready;
    flood.stream.keep_waiting = 1;
    vmp_ep_wait_ready(&flood.stream.ep);
    world_until(flood.comp.calls == flood.max_puts, 1000);
    VMP_CHECK(flood.num_puts == flood.max_puts);

    stream_close(&flood.stream);
    region_free(&flood.local);
    region_free(&flood.remote);
    world_end();
}

/* Operations that are cancelled make room for others at once */
static void test_ops_cancelled(uint64_t seed)
{
    vmp_iov_t iov;
    bulk_t bulk;

    world_begin("many puts, cancelled", seed);
    bulk_open(&bulk, 4);
    iov = (vmp_iov_t){bulk.local.data, LARGE, &bulk.local.mem};
    while (vmp_ep_put_zcopy(&bulk.stream.ep, &iov, 1,
                            (uintptr_t)bulk.remote.data, &bulk.remote.rkey,
                            &bulk.comp) == VMP_INPROGRESS);
    VMP_CHECK(bulk.stream.ep.conn->num_ops == 256);
    VMP_CHECK(!vmp_ep_is_ready(&bulk.stream.ep));
    vmp_ep_flush(&bulk.stream.ep, VMP_FLUSH_CANCEL, NULL);
    VMP_CHECK(bulk.stream.ep.conn->num_ops == 0);
    VMP_CHECK(vmp_ep_is_ready(&bulk.stream.ep));
    world_until(bulk.comp.calls == 256, 100);
    bulk_close(&bulk);
}

static void run(uint64_t seed)
{
    test_nop_full_cq(seed, 0);
    test_nop_full_cq(seed, 1);
    test_rare_polls(seed);
    test_steady_polls(seed);
    test_one_path(seed);
    test_ops_max(seed);
    test_ops_cancelled(seed);
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    run(seed);
    world_sleeps = 1;
    run(seed);
    return 0;
}
