/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Endpoints that wait for room: whose turn it is. Found by sim_core. */

#include "core_world.h"

#define NUM_MESSAGES  40


/* Send as much as goes; wait on when refused */
static void send_all(stream_t *stream)
{
    while ((stream->seq < NUM_MESSAGES) &&
           (stream_send(stream, SEND_BCOPY, 16, NULL) == VMP_OK));
    stream->keep_waiting = (stream->seq < NUM_MESSAGES);
}

/* Two endpoints of a connection with little credit: neither takes it all */
static void test_fair(uint64_t seed)
{
    stream_t streams[2];
    unsigned i;

    world_begin("fair", seed);
    world_params.rx_window_min = 4;
    world_params.rx_window_max = 4;
    world_open(2);
    for (i = 0; i < 2; ++i) {
        stream_open(&streams[i], 0, 1);
        streams[i].on_ready = send_all;
    }

    stream_wait_paths(&streams[0], 1);
    while (stream_send(&streams[0], SEND_BCOPY, 16, NULL) == VMP_OK);
    vmp_ep_wait_ready(&streams[0].ep);
    vmp_ep_wait_ready(&streams[1].ep);
    world_until(streams[1].ready > 0, 100);
    VMP_CHECK(streams[0].seq < NUM_MESSAGES);
    world_until((streams[0].seq == NUM_MESSAGES) &&
                (streams[1].seq == NUM_MESSAGES), 100);
    world_until(world_nodes[1].received == 2 * NUM_MESSAGES, 100);
    for (i = 0; i < 2; ++i) {
        stream_close(&streams[i]);
    }

    world_end();
}

static void send_one(stream_t *stream)
{
    if (stream->seq < NUM_MESSAGES) {
        stream_send(stream, SEND_BCOPY, 16, NULL);
    }

    stream->keep_waiting = (stream->seq < NUM_MESSAGES);
}

/* Who does not use all the room, and goes on waiting, is called again */
static void test_one_by_one(uint64_t seed)
{
    stream_t stream;

    world_begin("one by one", seed);
    world_params.rx_window_min = 64;
    world_open(2);
    stream_open(&stream, 0, 1);
    stream.on_ready = send_one;
    vmp_ep_wait_ready(&stream.ep);
    world_until(stream.seq == NUM_MESSAGES, 100);
    world_until(world_nodes[1].received == NUM_MESSAGES, 100);
    stream_close(&stream);
    world_end();
}

/* What goes inline fits in the peer's receive buffers all the same */
static void test_short_segments(uint64_t seed)
{
    const vmp_iface_attr_t *attr = &world_nodes[0].attr;
    stream_t stream;

    world_begin("short segments", seed);
    world_params.seg_size = 64;
    world_open(2);
    VMP_CHECK(attr->max_short == 64);
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 1);
    VMP_CHECK(stream_send(&stream, SEND_SHORT, attr->max_short, NULL) ==
              VMP_OK);
    world_until(world_nodes[1].received == 1, 100);
    stream_close(&stream);
    world_end();
}

int main(void)
{
    uint64_t seed = vmp_check_env("VMP_TEST_SEED", 1);

    test_fair(seed);
    test_one_by_one(seed);
    test_short_segments(seed);
    printf("test_core_ready: ok\n");
    return 0;
}
