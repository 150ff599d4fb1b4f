/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Many processes, each with endpoints to all and to itself, which are closed
 * and made anew again and again. Every endpoint carries messages of random
 * sizes whose contents are checked. At the end memory must not have grown, and
 * no RDMA resource may be left over while the process still lives.
 */

#include "vmp_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RSS_SLACK  (6 << 10)    /* KiB that caches and fragments may take */


static unsigned     num_eps    = 2;     /* to each rank */
static unsigned     num_cycles = 1;
static unsigned     num_msgs   = 4;     /* an endpoint and cycle */
static size_t       max_size   = 65536;
static char         closing    = 'f';   /* f(lush), k(ill: force), m(ixed) */
static int          is_peer_mode;
static ucp_worker_h worker;
static ucp_ep_h     *eps;               /* [rank][ep] */
static unsigned     per_host   = 1;     /* ranks */
static uint64_t     num_checks, bytes_out, bytes_in;
static int          is_closing;


typedef struct {
    uint64_t key;
    uint64_t tag;
    size_t   size;
    uint8_t  *buffer;
} msg_t;


static void msg_make(msg_t *msg, unsigned cycle, unsigned src, unsigned dest,
                     unsigned ep, unsigned index)
{
    unsigned bits = 0;
    uint64_t hash;

    hash     = vmp_mix(vmp_mix(kit.seed + cycle) +
                       (((uint64_t)src << 48) | ((uint64_t)dest << 32) |
                        (ep << 16) | index));
    while ((2ul << bits) <= max_size) {
        ++bits;
    }
    msg->key    = hash;
    msg->tag    = ((uint64_t)cycle << 32) | ((uint64_t)src << 24) | (ep << 8) |
                  index;
    hash        = vmp_mix(hash);
    msg->size   = (hash >> 8) % ((1ul << (hash % (bits + 1))) + 1);
    msg->buffer = xalloc(msg->size);
}

static void on_ep_error(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    (void)ep;
    if (!is_closing) {
        die("endpoint to rank %u failed: %s", (unsigned)(uintptr_t)arg,
            ucs_status_string(status));
    }
}

static int is_remote(unsigned rank)
{
    return (rank / per_host) != (kit.rank / per_host);
}

/* All messages of all endpoints are under way at once */
static void exchange(unsigned cycle)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    unsigned count            = kit.num_ranks * num_eps * num_msgs;
    ucs_status_ptr_t *sends   = xalloc(count * sizeof(*sends));
    ucs_status_ptr_t *recvs   = xalloc(count * sizeof(*recvs));
    msg_t *out                = xalloc(count * sizeof(*out));
    msg_t *in                 = xalloc(count * sizeof(*in));
    unsigned i, rank, ep, index;
    uint8_t want = 0;
    size_t offset;

    for (i = 0; i < count; ++i) {
        index = i % num_msgs;
        ep    = (i / num_msgs) % num_eps;
        rank  = i / (num_msgs * num_eps);
        msg_make(&in[i], cycle, rank, kit.rank, ep, index);
        recvs[i] = ucp_tag_recv_nbx(worker, in[i].buffer, in[i].size,
                                    in[i].tag, UINT64_MAX, &param);
        bytes_in += is_remote(rank) ? in[i].size : 0;
    }
    for (i = 0; i < count; ++i) {
        index = i / (kit.num_ranks * num_eps); /* endpoints take turns */
        ep    = i % num_eps;
        rank  = (i / num_eps) % kit.num_ranks;
        msg_make(&out[i], cycle, kit.rank, rank, ep, index);
        vmp_content_fill(out[i].buffer, out[i].size, out[i].key, 0);
        sends[i]   = ucp_tag_send_nbx(eps[(rank * num_eps) + ep], out[i].buffer,
                                      out[i].size, out[i].tag, &param);
        bytes_out += is_remote(rank) ? out[i].size : 0;
    }
    for (i = 0; i < count; ++i) {
        kit_wait_ok(recvs[i], "receive");
        offset = vmp_content_check(in[i].buffer, in[i].size, in[i].key, 0,
                                   &want);
        if (offset != VMP_CONTENT_OK) {
            die("cycle %u, tag %" PRIx64 ", %zu bytes: offset %zu: got 0x%02x "
                "want 0x%02x", cycle, in[i].tag, in[i].size, offset,
                in[i].buffer[offset], want);
        }
        ++num_checks;
        free(in[i].buffer);
    }
    for (i = 0; i < count; ++i) {
        kit_wait_ok(sends[i], "send");
        free(out[i].buffer);
    }
    free(sends);
    free(recvs);
    free(out);
    free(in);
}

static void open_endpoints(const kit_blob_t *addrs)
{
    unsigned i, rank;

    is_closing = 0;
    for (i = 0; i < (kit.num_ranks * num_eps); ++i) {
        /* begin with ourselves, so that not all ask rank 0 first */
        rank = (kit.rank + (i / num_eps)) % kit.num_ranks;
        eps[(rank * num_eps) + (i % num_eps)] =
            kit_ep(worker, &addrs[rank], is_peer_mode ? on_ep_error : NULL,
                   (void*)(uintptr_t)rank);
    }
}

static void close_endpoints(unsigned cycle)
{
    unsigned i;
    int force;

    is_closing = 1;
    for (i = 0; i < (kit.num_ranks * num_eps); ++i) {
        force = (closing == 'k') ||
                ((closing == 'm') && (vmp_mix(kit.seed + cycle + i) & 1));
        kit_ep_close(eps[i], force);
    }
}

static void usage(void)
{
    printf("usage: vmp_mesh -r RANK -n RANKS [options] [HOST of rank 0]\n"
           "  -l N      ranks a host, for the count of bytes (1)\n"
           "  -e N      endpoints to each rank, itself included (2)\n"
           "  -c N      times to make and close them (1)\n"
           "  -i N      messages an endpoint and time (4)\n"
           "  -m BYTES  largest message (65536)\n"
           "  -f HOW    close by f(lush), k(ill: force) or m(ixed) (f)\n"
           "  -E        peer error handling (also by -f k and m)\n");
}

static void option(int c, const char *arg)
{
    switch (c) {
    case 'r':
        kit.rank = kit_number(arg, c, 0, KIT_MAX_RANKS - 1);
        break;
    case 'n':
        kit.num_ranks = kit_number(arg, c, 1, KIT_MAX_RANKS);
        break;
    case 'l':
        per_host = kit_number(arg, c, 1, KIT_MAX_RANKS);
        break;
    case 'e':
        num_eps = kit_number(arg, c, 1, 1000);
        break;
    case 'c':
        num_cycles = kit_number(arg, c, 1, 100000);
        break;
    case 'i':
        num_msgs = kit_number(arg, c, 1, 255);
        break;
    case 'm':
        max_size = kit_number(arg, c, 1, 1 << 30);
        break;
    case 'f':
        closing       = arg[0];
        is_peer_mode |= (closing != 'f');
        break;
    case 'E':
        is_peer_mode = 1;
        break;
    }
}

static const kit_program_t program = {
    "vmp_mesh", "13471", "r:n:l:e:c:i:m:f:E", option, usage
};


int main(int argc, char **argv)
{
    size_t rss_begin  = 0, rss_end;
    ucp_context_h context;
    kit_blob_t mine, *addrs;
    char before[1024];
    unsigned cycle;

    kit_options(&program, argc, argv);
    kit_net_open();
    kit_resources(before, sizeof(before));
    kit_barrier("start");
    worker = kit_worker_open(UCP_FEATURE_TAG, UCS_THREAD_MODE_SINGLE,
                             &context);
    eps    = xalloc(kit.num_ranks * num_eps * sizeof(*eps));
    addrs  = xalloc(kit.num_ranks * sizeof(*addrs));
    kit_worker_address(worker, &mine);
    kit_allgather(&mine, addrs, sizeof(mine));
    for (cycle = 0; cycle < num_cycles; ++cycle) {
        open_endpoints(addrs);
        exchange(cycle);
        kit_barrier("close");
        close_endpoints(cycle);
        kit_barrier("again");
        if (cycle == (num_cycles / 3)) {
            rss_begin = kit_rss();
        }
    }
    rss_end = kit_rss();
    kit_worker_close(worker, context);
    kit_barrier("end"); /* the counts are the host's, not the process's */
    kit_resources_check(before);
    if ((num_cycles > 20) && (rss_end > (rss_begin + RSS_SLACK))) {
        die("resident memory grew from %zu to %zu KiB in %u cycles", rss_begin,
            rss_end, num_cycles - (num_cycles / 3));
    }
    kit_barrier("checked");
    printf("vmp_mesh: payload out %" PRIu64 " in %" PRIu64 "\n", bytes_out,
           bytes_in);
    say("PASS (%" PRIu64 " checks, %u endpoints, %u cycles, resident %zu to "
        "%zu KiB, seed %" PRIu64 ")", num_checks, kit.num_ranks * num_eps,
        num_cycles, rss_begin, rss_end, kit.seed);
    return 0;
}
