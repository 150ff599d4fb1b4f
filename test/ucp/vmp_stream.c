/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * A stream of tagged messages from rank 1 to rank 0, for looking at what happens
 * to it while links are cut. Rank 0 checks the contents of each message and says
 * when how much of them came.
 */

#include "vmp_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_DEPTH  64


static size_t       size     = 262144;
static unsigned     depth    = 8;       /* messages in flight */
static unsigned     duration = 10;      /* seconds */
static unsigned     bin_ms   = 10;
static int          is_peer_mode;
static ucp_worker_h worker;
static uint64_t     num_msgs;
static unsigned     cur_bin;
static uint64_t     bin_bytes;          /* that came in it so far */

/* All messages of a slot are alike but for their first bytes, the number: making
 * and checking them is not to take the time that the network needs. */
typedef struct {
    uint8_t          *buffer;
    uint8_t          *want;             /* what is to come */
    ucs_status_ptr_t request;
    uint64_t         index;             /* of the message */
} slot_t;


/* The last message is empty */
static uint64_t msg_tag(uint64_t index)
{
    return index + 1;
}

static void slot_stamp(uint8_t *buffer, uint64_t index)
{
    memcpy(buffer, &index, (size < sizeof(index)) ? size : sizeof(index));
}

static slot_t *slots_make(void)
{
    slot_t *slots = xalloc(depth * sizeof(*slots));
    unsigned i;

    for (i = 0; i < depth; ++i) {
        slots[i].buffer = xalloc(size);
        slots[i].want   = xalloc(size);
        vmp_content_fill(slots[i].want, size, vmp_mix(kit.seed + i), 0);
    }
    return slots;
}

static void slots_free(slot_t *slots)
{
    unsigned i;

    for (i = 0; i < depth; ++i) {
        free(slots[i].buffer);
        free(slots[i].want);
    }
    free(slots);
}

static void slot_wait(slot_t *slot, const char *what)
{
    ucs_status_ptr_t request = slot->request;

    slot->request = NULL;
    kit_wait_ok(request, what);
}

static void send_all(ucp_ep_h ep)
{
    ucp_request_param_t param = {0};
    double end                = kit_now() + duration;
    slot_t *slots             = slots_make();
    slot_t *slot;
    unsigned i;

    while (kit_now() < end) {
        slot = &slots[num_msgs % depth];
        slot_wait(slot, "send");
        slot_stamp(slot->want, num_msgs);
        slot->request = ucp_tag_send_nbx(ep, slot->want, size,
                                         msg_tag(num_msgs), &param);
        if (UCS_PTR_IS_ERR(slot->request)) {
            die("send: %s",
                ucs_status_string(UCS_PTR_STATUS(slot->request)));
        }
        ++num_msgs;
    }

    for (i = 0; i < depth; ++i) {
        slot_wait(&slots[(num_msgs + i) % depth], "send");
    }
    kit_wait_ok(ucp_tag_send_nbx(ep, slots[0].buffer, 0, msg_tag(num_msgs),
                                 &param), "last send");
    slots_free(slots);
}

static void recv_post(slot_t *slot, uint64_t index)
{
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FLAG_NO_IMM_CMPL
    };

    memset(slot->buffer, 0, size);
    slot_stamp(slot->want, index);
    slot->index   = index;
    slot->request = ucp_tag_recv_nbx(worker, slot->buffer, size,
                                     msg_tag(index), UINT64_MAX, &param);
    if (UCS_PTR_IS_ERR(slot->request)) {
        die("receive: %s", ucs_status_string(UCS_PTR_STATUS(slot->request)));
    }
}

/* Return the size of the message */
static size_t recv_wait(slot_t *slot)
{
    ucp_tag_recv_info_t info;
    ucs_status_t status;

    while ((status = ucp_tag_recv_request_test(slot->request, &info)) ==
           UCS_INPROGRESS) {
        kit_progress();
    }
    if (status != UCS_OK) {
        die("message %" PRIu64 ": %s", slot->index,
            ucs_status_string(status));
    }
    ucp_request_free(slot->request);
    slot->request = NULL;
    return info.length;
}

/* Lines as time goes by: who is killed has said what it saw */
static void count(double time, size_t length)
{
    unsigned bin = (unsigned)(time * 1000 / bin_ms);

    if (bin != cur_bin) {
        if (bin_bytes > 0) {
            printf("bin %u %" PRIu64 "\n", cur_bin * bin_ms, bin_bytes);
            fflush(stdout);
        }
        cur_bin   = bin;
        bin_bytes = 0;
    }
    bin_bytes += length;
}

static void recv_all(void)
{
    slot_t *slots = slots_make();
    double begin  = 0;
    slot_t *slot;
    size_t length;
    unsigned i;

    for (i = 0; i < depth; ++i) {
        recv_post(&slots[i], i);
    }

    for (num_msgs = 0; ; ++num_msgs) {
        slot   = &slots[num_msgs % depth];
        length = recv_wait(slot);
        if (length == 0) {
            break;
        }
        if (num_msgs == 0) {
            begin = kit_now();
            say("begins");
        }
        count(kit_now() - begin, length);
        if ((length != size) ||
            (memcmp(slot->buffer, slot->want, size) != 0)) {
            die("message %" PRIu64 " of %zu bytes: not what was sent",
                num_msgs, length);
        }
        recv_post(slot, num_msgs + depth);
    }

    count(1e6, 0);
    for (i = 0; i < depth; ++i) {
        if (slots[i].request != NULL) {
            ucp_request_cancel(worker, slots[i].request);
            while (ucp_request_check_status(slots[i].request) ==
                   UCS_INPROGRESS) {
                kit_progress();
            }
            ucp_request_free(slots[i].request);
        }
    }
    slots_free(slots);
}

static void on_error(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    die("endpoint is lost: %s", ucs_status_string(status));
}

static void usage(void)
{
    printf("usage: vmp_stream [options] [HOST of rank 0]\n"
           "  -m BYTES  a message (262144)\n"
           "  -q N      messages in flight (8)\n"
           "  -d S      seconds to send (10)\n"
           "  -b MS     of rank 0's lines \"bin MS BYTES\": how long one is (10)\n"
           "  -E        peer error handling\n");
}

static void option(int c, const char *arg)
{
    switch (c) {
    case 'm':
        size = kit_number(arg, c, 1, 1 << 30);
        break;
    case 'q':
        depth = kit_number(arg, c, 1, MAX_DEPTH);
        break;
    case 'd':
        duration    = kit_number(arg, c, 1, 100000);
        kit.seconds = duration + 60;
        break;
    case 'b':
        bin_ms = kit_number(arg, c, 1, 10000);
        break;
    case 'E':
        is_peer_mode = 1;
        break;
    }
}

static const kit_program_t program = {
    "vmp_stream", "13471", "m:q:d:b:E", option, usage
};


int main(int argc, char **argv)
{
    ucp_context_h context;
    kit_blob_t mine;
    kit_blob_t addrs[2];
    ucp_ep_h ep;

    kit_options(&program, argc, argv);
    kit_net_open();
    kit_barrier("start");
    worker = kit_worker_open(UCP_FEATURE_TAG, UCS_THREAD_MODE_SINGLE,
                             &context);
    kit_worker_address(worker, &mine);
    kit_allgather(&mine, addrs, sizeof(mine));
    ep = kit_ep(worker, &addrs[!kit.rank], is_peer_mode ? on_error : NULL,
                NULL);
    if (kit.rank == 0) {
        recv_all();
    } else {
        send_all(ep);
    }

    kit_barrier("close");
    kit_ep_close(ep, 0);
    kit_worker_close(worker, context);
    kit_barrier("end");
    printf("vmp_stream: payload out %" PRIu64 " in %" PRIu64 "\n",
           kit.rank ? num_msgs * size : 0, kit.rank ? 0 : num_msgs * size);
    say("PASS (%" PRIu64 " messages, seed %" PRIu64 ")", num_msgs, kit.seed);
    return 0;
}
