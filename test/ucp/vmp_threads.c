/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Several threads a process, two processes. Either all threads share one worker
 * of thread mode multi, or each has a worker and a context of its own. Each
 * thread sends messages to its counterpart and receives from it, and puts to
 * its counterpart's memory and gets the same back; all contents are checked.
 */

#include "vmp_kit.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_THREADS  16
#define WINDOW       4


typedef struct {
    pthread_t     thread;
    unsigned      index;
    ucp_worker_h  worker;
    ucp_context_h context;
    ucp_ep_h      ep;
    ucp_mem_h     memh;
    ucp_rkey_h    rkey;
    uint8_t       *memory;      /* the counterpart puts here */
    uint64_t      remote;
} thread_t;

/* What a thread tells its counterpart */
typedef struct {
    kit_blob_t addr;
    kit_blob_t rkey;
    uint64_t   memory;
} thread_info_t;

typedef struct {
    ucs_status_ptr_t send;
    ucs_status_ptr_t recv;
    uint8_t          *out;
    uint8_t          *in;
} slot_t;


static thread_t         threads[MAX_THREADS];
static unsigned         num_threads = 4;
static unsigned         num_ops     = 100;
static size_t           max_size    = 262144;
static int              is_shared   = 1;
static int              is_peer_mode;
static _Atomic uint64_t num_checks, bytes_out, bytes_in;


static uint64_t op_key(unsigned rank, const thread_t *t, unsigned op)
{
    return vmp_mix(kit.seed + ((uint64_t)rank << 40) +
                   ((uint64_t)t->index << 32) + op);
}

static size_t op_size(uint64_t key)
{
    size_t limit = max_size >> (key % 16);

    return (key >> 16) % (limit + 1);
}

static void check(const thread_t *t, const void *buf, size_t size, uint64_t key,
                  const char *what)
{
    uint8_t want  = 0;
    size_t offset = vmp_content_check(buf, size, key, 0, &want);

    if (offset != VMP_CONTENT_OK) {
        die("thread %u, %s, %zu bytes: offset %zu: got 0x%02x want 0x%02x",
            t->index, what, size, offset, ((const uint8_t*)buf)[offset], want);
    }
    ++num_checks;
}

static void wait_ok(const thread_t *t, ucs_status_ptr_t request,
                    const char *what)
{
    ucs_status_t status = UCS_PTR_STATUS(request);

    if (UCS_PTR_IS_PTR(request)) {
        while ((status = ucp_request_check_status(request)) ==
               UCS_INPROGRESS) {
            if (ucp_worker_progress(t->worker) == 0) {
                sched_yield();
            }
        }
        ucp_request_free(request);
    }
    if (status != UCS_OK) {
        die("thread %u: %s failed: %s", t->index, what,
            ucs_status_string(status));
    }
}

static void finish(thread_t *t, slot_t *slot, unsigned op)
{
    uint64_t key = op_key(!kit.rank, t, op);

    wait_ok(t, slot->recv, "receive");
    check(t, slot->in, op_size(key), key, "message");
    wait_ok(t, slot->send, "send");
}

static void post(thread_t *t, slot_t *slot, unsigned op)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    uint64_t key              = op_key(kit.rank, t, op);
    size_t in_size            = op_size(op_key(!kit.rank, t, op));
    size_t out_size           = op_size(key);

    slot->recv = ucp_tag_recv_nbx(t->worker, slot->in, in_size, t->index,
                                  UINT64_MAX, &param);
    vmp_content_fill(slot->out, out_size, key, 0);
    slot->send = ucp_tag_send_nbx(t->ep, slot->out, out_size, t->index, &param);
    bytes_out += out_size;
    bytes_in  += in_size;
}

/* Put, flush, get the same back */
static void put_get(thread_t *t, unsigned op, slot_t *slot)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    uint64_t key              = op_key(kit.rank, t, op) ^ 1;
    size_t size               = op_size(key);

    if (size == 0) {
        return;
    }
    vmp_content_fill(slot->out, size, key, 0);
    wait_ok(t, ucp_put_nbx(t->ep, slot->out, size, t->remote, t->rkey, &param),
            "put");
    wait_ok(t, ucp_ep_flush_nbx(t->ep, &param), "flush");
    memset(slot->in, 0, size);
    wait_ok(t, ucp_get_nbx(t->ep, slot->in, size, t->remote, t->rkey, &param),
            "get");
    check(t, slot->in, size, key, "put and get");
    bytes_out += size;
    bytes_in  += size;
}

static void *thread_main(void *arg)
{
    thread_t *t = arg;
    slot_t slots[WINDOW];
    unsigned op;

    for (op = 0; op < WINDOW; ++op) {
        slots[op].out = xalloc(max_size);
        slots[op].in  = xalloc(max_size);
    }
    for (op = 0; op < num_ops; ++op) {
        if (op >= WINDOW) {
            finish(t, &slots[op % WINDOW], op - WINDOW);
            if (op % 5 == 0) {
                put_get(t, op, &slots[op % WINDOW]);
            }
        }
        post(t, &slots[op % WINDOW], op);
    }
    for (op = (num_ops < WINDOW) ? 0 : (num_ops - WINDOW); op < num_ops; ++op) {
        finish(t, &slots[op % WINDOW], op);
    }
    for (op = 0; op < WINDOW; ++op) {
        free(slots[op].out);
        free(slots[op].in);
    }
    return NULL;
}

static void on_ep_error(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    (void)ep;
    die("thread %u: endpoint failed: %s", ((thread_t*)arg)->index,
        ucs_status_string(status));
}

static void open_thread(thread_t *t)
{
    ucp_mem_map_params_t params = { .field_mask =
                                        UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
                                        UCP_MEM_MAP_PARAM_FIELD_LENGTH };
    thread_info_t mine, all[2];
    ucs_status_t status;
    size_t size;
    void *rkey;

    if (is_shared && (t->index > 0)) {
        t->worker  = threads[0].worker;
        t->context = threads[0].context;
    } else {
        t->worker = kit_worker_open(UCP_FEATURE_TAG | UCP_FEATURE_RMA,
                                    is_shared ? UCS_THREAD_MODE_MULTI :
                                                UCS_THREAD_MODE_SERIALIZED,
                                    &t->context);
    }
    t->memory      = xalloc(max_size);
    params.address = t->memory;
    params.length  = max_size;
    status         = ucp_mem_map(t->context, &params, &t->memh);
    if (status == UCS_OK) {
        status = ucp_rkey_pack(t->context, t->memh, &rkey, &size);
    }
    if ((status != UCS_OK) || (size > KIT_MAX_BLOB)) {
        die("cannot map memory: %s", ucs_status_string(status));
    }
    memset(&mine, 0, sizeof(mine));
    kit_worker_address(t->worker, &mine.addr);
    mine.memory    = (uintptr_t)t->memory;
    mine.rkey.size = size;
    memcpy(mine.rkey.data, rkey, size);
    ucp_rkey_buffer_release(rkey);
    kit_allgather(&mine, all, sizeof(mine));

    t->ep     = kit_ep(t->worker, &all[!kit.rank].addr,
                       is_peer_mode ? on_ep_error : NULL, t);
    t->remote = all[!kit.rank].memory;
    status    = ucp_ep_rkey_unpack(t->ep, all[!kit.rank].rkey.data, &t->rkey);
    if (status != UCS_OK) {
        die("cannot unpack a key: %s", ucs_status_string(status));
    }
}

static void close_threads(void)
{
    unsigned i;

    for (i = 0; i < num_threads; ++i) {
        ucp_rkey_destroy(threads[i].rkey);
        kit_ep_close(threads[i].ep, 0);
    }
    kit_barrier("unmap");
    for (i = 0; i < num_threads; ++i) {
        ucp_mem_unmap(threads[i].context, threads[i].memh);
        free(threads[i].memory);
    }
    for (i = 0; i < (is_shared ? 1 : num_threads); ++i) {
        kit_worker_close(threads[i].worker, threads[i].context);
    }
}

static void usage(void)
{
    printf("usage: vmp_threads [options]        first\n"
           "       vmp_threads [options] HOST   then; same options\n"
           "  -T N      threads (4)\n"
           "  -n N      messages a thread (100)\n"
           "  -m BYTES  largest size (262144)\n"
           "  -w        a worker and context a thread, not one for all\n"
           "  -E        peer error handling\n");
}

static void option(int c, const char *arg)
{
    switch (c) {
    case 'T':
        num_threads = kit_number(arg, c, 1, MAX_THREADS);
        break;
    case 'n':
        num_ops = kit_number(arg, c, 1, 1000000);
        break;
    case 'm':
        max_size = kit_number(arg, c, 1, 1 << 28);
        break;
    case 'w':
        is_shared = 0;
        break;
    case 'E':
        is_peer_mode = 1;
        break;
    }
}

static const kit_program_t program = {
    "vmp_threads", "13472", "T:n:m:wE", option, usage
};


int main(int argc, char **argv)
{
    char before[1024];
    unsigned i;

    kit_options(&program, argc, argv);
    kit_net_open();
    kit_resources(before, sizeof(before));
    for (i = 0; i < num_threads; ++i) {
        threads[i].index = i;
        open_thread(&threads[i]);
    }
    kit_barrier("transfer");
    for (i = 0; i < num_threads; ++i) {
        if (pthread_create(&threads[i].thread, NULL, thread_main,
                           &threads[i]) != 0) {
            die("cannot start thread %u", i);
        }
    }
    for (i = 0; i < num_threads; ++i) {
        pthread_join(threads[i].thread, NULL);
    }
    kit_barrier("close");
    close_threads();
    kit_barrier("end");
    kit_resources_check(before);
    kit_barrier("checked");
    printf("vmp_threads: payload out %" PRIu64 " in %" PRIu64 "\n", bytes_out,
           bytes_in);
    say("PASS (%" PRIu64 " checks, %u threads, seed %" PRIu64 ")", num_checks,
        num_threads, kit.seed);
    return 0;
}
