/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"
#include "core/vmp_path.h"

#define NUM_PEERS  4                    /* that are flushed or fenced */


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
    region_make(&local, 4096, 1);
    region_make(&remote, 4096, 2);
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

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    test_nop_full_cq(seed, 0);
    test_nop_full_cq(seed, 1);
    return 0;
}
