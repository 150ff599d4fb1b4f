/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Memory that comes and goes under the registrations that UCX caches: map,
 * send, unmap, map other data at the same address, send. Two processes do the
 * same at the same time, and each checks what it receives. Also: regions with
 * remote keys, memory that cannot be written, files, empty and large regions,
 * and access to what is not there.
 */

#include "vmp_kit.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>


/* How memory is taken and given back. take() may be told where it was before,
 * and returns NULL if it cannot be had there. */
typedef struct {
    const char *name;
    void       *(*take)(void *where, size_t size);
    void       (*give)(void *ptr, size_t size);
} source_t;

typedef struct {
    ucp_mem_h  memh;
    ucp_rkey_h rkey;
    uint64_t   remote;
} region_t;


static ucp_worker_h  worker;
static ucp_context_h context;
static ucp_ep_h      ep;
static kit_blob_t    addrs[2];
static unsigned      num_rounds = 6;
static size_t        size       = 1 << 20;
static uint64_t      num_checks, bytes_out;
static unsigned      num_same;      /* rounds at the same address */
static uint64_t      next_key;
static int           shm_id;
static ucs_status_t  ep_error;
static size_t        huge;
static int           is_invalid, is_read_only = 1, is_mremap = 1;


static void on_ep_error(void *arg, ucp_ep_h unused, ucs_status_t status)
{
    (void)arg, (void)unused;
    ep_error = status;
}

/* The same at both sides, in step */
static uint64_t new_key(unsigned rank)
{
    return vmp_mix(kit.seed + (2 * next_key) + rank);
}

static void check(const void *buf, size_t length, uint64_t key,
                  const char *what)
{
    uint8_t want  = 0;
    size_t offset = vmp_content_check(buf, length, key, 0, &want);

    if (offset != VMP_CONTENT_OK) {
        die("%s, %zu bytes at %p, check %" PRIu64 ": offset %zu: got 0x%02x "
            "want 0x%02x", what, length, buf, num_checks, offset,
            ((const uint8_t*)buf)[offset], want);
    }
    ++num_checks;
}

/* Both send `out` as it is, and receive into `in` */
static void exchange_raw(const void *out, void *in, size_t length)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    ucs_status_ptr_t recv, send;

    recv = ucp_tag_recv_nbx(worker, in, length, 1, UINT64_MAX, &param);
    send = ucp_tag_send_nbx(ep, out, length, 1, &param);
    kit_wait_ok(recv, "receive");
    kit_wait_ok(send, "send");
    bytes_out += length;
}

static void exchange(void *out, void *in, size_t length)
{
    ++next_key;
    vmp_content_fill(out, length, new_key(kit.rank), 0);
    memset(in, 0, length);
    exchange_raw(out, in, length);
    check(in, length, new_key(!kit.rank), kit.stage);
}


static void *take_mmap(void *where, size_t length)
{
    void *ptr = mmap(where, length, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS |
                     ((where != NULL) ? MAP_FIXED_NOREPLACE : 0), -1, 0);

    return (ptr == MAP_FAILED) ? NULL : ptr;
}

static void give_munmap(void *ptr, size_t length)
{
    munmap(ptr, length);
}

/* Nothing is unmapped: the next mapping goes on top */
static void *take_over(void *where, size_t length)
{
    void *ptr = mmap(where, length, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS |
                     ((where != NULL) ? MAP_FIXED : 0), -1, 0);

    return (ptr == MAP_FAILED) ? NULL : ptr;
}

static void give_nothing(void *ptr, size_t length)
{
    (void)ptr, (void)length;
}

/* Stays mapped, with other pages */
static void *take_again(void *where, size_t length)
{
    return (where != NULL) ? where : take_mmap(NULL, length);
}

static void give_pages(void *ptr, size_t length)
{
    if (madvise(ptr, length, MADV_DONTNEED) != 0) {
        die("madvise: %s", strerror(errno));
    }
}

/* Other pages are moved to where the old ones were */
static void *take_mremap(void *where, size_t length)
{
    void *ptr = take_mmap(NULL, length);

    if (where == NULL) {
        return ptr;
    }
    memset(ptr, 1, length);
    ptr = mremap(ptr, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, where);
    return (ptr == MAP_FAILED) ? NULL : ptr;
}

static void *take_malloc(void *where, size_t length)
{
    (void)where;
    return malloc(length);
}

static void give_free(void *ptr, size_t length)
{
    (void)length;
    free(ptr);
    malloc_trim(0);
}

static void *take_shm(void *where, size_t length)
{
    void *ptr;

    shm_id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600);
    if (shm_id < 0) {
        die("shmget: %s", strerror(errno));
    }
    ptr = shmat(shm_id, where, 0);
    shmctl(shm_id, IPC_RMID, NULL);
    return (ptr == (void*)-1) ? NULL : ptr;
}

static void give_shm(void *ptr, size_t length)
{
    (void)length;
    shmdt(ptr);
}

static const source_t sources[] = {
    { "munmap and mmap", take_mmap, give_munmap },
    { "mmap over it", take_over, give_nothing },
    { "MADV_DONTNEED", take_again, give_pages },
    { "mremap over it", take_mremap, give_nothing },
    { "free and malloc", take_malloc, give_free },
    { "shmdt and shmat", take_shm, give_shm }
};

/* One buffer is remapped, the other side's view of it is what counts; both
 * roles in turn. Pages that were given back are taken by others at once. */
static void test_remap(const source_t *source)
{
    uint8_t *fixed = take_mmap(NULL, size);
    uint8_t *buf = NULL, *last = NULL;
    unsigned round;
    void *junk;

    kit_barrier(source->name);
    for (round = 0; round < num_rounds; ++round) {
        buf = source->take(buf, size);
        if ((buf == NULL) && (last != NULL)) {
            buf = source->take(NULL, size); /* somebody else is there now */
        }
        if (buf == NULL) {
            die("no memory: %s", strerror(errno));
        }
        num_same += (buf == last);
        last      = buf;
        exchange(buf, fixed, size);     /* as source ... */
        exchange(fixed, buf, size);     /* ... and as destination */
        source->give(buf, size);
        junk = take_mmap(NULL, size);
        memset(junk, 0xee, size);
        munmap(junk, size);
    }
    munmap(fixed, size);
}

static void region_open(region_t *region, void *ptr, size_t length)
{
    ucp_mem_map_params_t params = { .field_mask =
                                        UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
                                        UCP_MEM_MAP_PARAM_FIELD_LENGTH,
                                    .address = ptr, .length = length };
    struct {
        kit_blob_t rkey;
        uint64_t   address;
    } mine, all[2];
    ucs_status_t status;
    size_t rkey_size;
    void *rkey;

    status = ucp_mem_map(context, &params, &region->memh);
    if (status == UCS_OK) {
        status = ucp_rkey_pack(context, region->memh, &rkey, &rkey_size);
    }
    if ((status != UCS_OK) || (rkey_size > KIT_MAX_BLOB)) {
        die("cannot map %zu bytes: %s", length, ucs_status_string(status));
    }
    memset(&mine, 0, sizeof(mine));
    mine.address   = (uintptr_t)ptr;
    mine.rkey.size = rkey_size;
    memcpy(mine.rkey.data, rkey, rkey_size);
    ucp_rkey_buffer_release(rkey);
    kit_allgather(&mine, all, sizeof(mine));
    region->remote = all[!kit.rank].address;
    status = ucp_ep_rkey_unpack(ep, all[!kit.rank].rkey.data, &region->rkey);
    if (status != UCS_OK) {
        die("cannot unpack a key: %s", ucs_status_string(status));
    }
}

static void region_close(region_t *region)
{
    ucp_rkey_destroy(region->rkey);
    kit_barrier(kit.stage);
    ucp_mem_unmap(context, region->memh);
}

static void put_ok(region_t *region, void *buf, size_t length, size_t offset)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };

    kit_wait_ok(ucp_put_nbx(ep, buf, length, region->remote + offset,
                            region->rkey, &param), "put");
    kit_wait_ok(ucp_ep_flush_nbx(ep, &param), "flush");
    bytes_out += length;
}

static void get_ok(region_t *region, void *buf, size_t length, size_t offset)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };

    kit_wait_ok(ucp_get_nbx(ep, buf, length, region->remote + offset,
                            region->rkey, &param), "get");
    bytes_out += length; /* the peer does the same to us */
}

/* A new mapping at the old address is a new region with a new key */
static void test_regions(void)
{
    uint8_t *buf = xalloc(size);
    uint8_t *ptr = NULL;
    region_t region;
    unsigned round;

    kit_barrier("regions with keys");
    for (round = 0; round < num_rounds; ++round) {
        ptr = take_mmap(ptr, size);
        if (ptr == NULL) {
            ptr = take_mmap(NULL, size);
        }
        ++next_key;
        region_open(&region, ptr, size);
        vmp_content_fill(buf, size, new_key(kit.rank), 0);
        put_ok(&region, buf, size, 0);
        memset(buf, 0, size);
        kit_barrier("put done");
        check(ptr, size, new_key(!kit.rank), "put");
        get_ok(&region, buf, size, 0);
        check(buf, size, new_key(kit.rank), "get");
        region_close(&region);
        munmap(ptr, size);
    }
    free(buf);
}

/* Memory that we may only read is sent, or refused by UCX in words */
static void send_from(const char *what, void *ptr, size_t length, uint64_t key,
                      int may_fail)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    uint8_t *in               = xalloc(length);
    ucs_status_t status;
    ucs_status_ptr_t recv, send;

    (void)may_fail;
    kit_barrier(what);
    recv   = ucp_tag_recv_nbx(worker, in, length, 2, UINT64_MAX, &param);
    send   = ucp_tag_send_nbx(ep, ptr, length, 2, &param);
    status = kit_wait(recv);
    if (status != UCS_OK) {
        die("receive failed: %s", ucs_status_string(status));
    }
    kit_wait_ok(send, "send");
    check(in, length, key, what);
    bytes_out += length;
    free(in);
}

static void test_files(void)
{
    uint64_t key = vmp_mix(kit.seed ^ 0xf11e);
    char name[]  = "/tmp/vmp_memory.XXXXXX";
    int fd       = mkstemp(name);
    uint8_t *ptr, *in;

    if ((fd < 0) || (ftruncate(fd, size) != 0)) {
        die("no file: %s", strerror(errno));
    }
    unlink(name);
    ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    in  = xalloc(size);
    kit_barrier("file, shared");
    exchange(ptr, in, size);
    exchange(in, ptr, size);
    vmp_content_fill(ptr, size, key, 0); /* the same at both sides */
    munmap(ptr, size);

    ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    send_from("file, private", ptr, size, key, 0);
    memset(ptr, 0, size / 2);
    exchange(in, ptr, size);
    munmap(ptr, size);
    close(fd);
    free(in);
}

static void test_read_only(void)
{
    uint64_t key = vmp_mix(kit.seed ^ 0x40);
    uint8_t *ptr = take_mmap(NULL, size);

    vmp_content_fill(ptr, size, key, 0);
    mprotect(ptr, size, PROT_READ);
    send_from("read-only, short", ptr, 64, key, 0);
    send_from("read-only, 8 KiB", ptr, 8192, key, 0);
    send_from("read-only, long", ptr, size, key, 1);
    munmap(ptr, size);
}

static void test_zero(void)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    uint8_t byte = 1, in = 2;
    region_t region;

    kit_barrier("zero length");
    exchange_raw(&byte, &in, 0);
    exchange_raw(NULL, NULL, 0);
    region_open(&region, &byte, 1);
    put_ok(&region, &in, 0, 0);
    get_ok(&region, &in, 0, 0);
    put_ok(&region, &in, 0, 1); /* just behind the end */
    region_close(&region);
    kit_wait_ok(ucp_ep_flush_nbx(ep, &param), "flush");
    if ((byte != 1) || (in != 2)) {
        die("an operation on nothing wrote something");
    }
    ++num_checks;
}

/* Only a few places of it are used, but all of it is registered */
static void test_huge(void)
{
    static const size_t parts[] = { 0, 4095, 1 << 20, 8 << 20 };
    uint8_t *ptr                = take_mmap(NULL, huge);
    uint8_t *buf                = xalloc(8 << 20);
    region_t region;
    unsigned i;

    if (ptr == NULL) {
        die("no %zu bytes: %s", huge, strerror(errno));
    }
    kit_barrier("huge region");
    region_open(&region, ptr, huge);
    for (i = 0; i < (sizeof(parts) / sizeof(parts[0])); ++i) {
        ++next_key;
        vmp_content_fill(buf, parts[i], new_key(kit.rank), 0);
        put_ok(&region, buf, parts[i], huge - parts[i] - 1);
        kit_barrier("huge region, put");
        check(ptr + huge - parts[i] - 1, parts[i], new_key(!kit.rank), "put");
        memset(buf, 0, parts[i]);
        get_ok(&region, buf, parts[i], huge - parts[i] - 1);
        check(buf, parts[i], new_key(kit.rank), "get");
    }
    region_close(&region);
    munmap(ptr, huge);
    free(buf);

    ptr = take_mmap(NULL, 2 * (huge / 8));
    kit_barrier("huge message");
    exchange(ptr, ptr + (huge / 8), huge / 8);
    munmap(ptr, 2 * (huge / 8));
}

static void reconnect(void)
{
    kit_ep_close(ep, 1);
    kit_barrier(kit.stage);
    ep_error = UCS_OK;
    ep       = kit_ep(worker, &addrs[!kit.rank], on_ep_error, NULL);
}

/* Rank 1 accesses what is not there: an error of that endpoint, told once and
 * in time, and nothing more. A new endpoint works. */
static void test_invalid(int is_get)
{
    ucp_request_param_t param = { .op_attr_mask = 0 };
    uint8_t *ptr              = take_mmap(NULL, size);
    uint8_t *buf              = xalloc(size);
    double begin;
    ucs_status_t status, flush_status;
    region_t region;

    kit_barrier(is_get ? "get out of bounds" : "put out of bounds");
    region_open(&region, ptr, size);
    kit_barrier("access");
    if (kit.rank == 1) {
        begin  = kit_now();
        status = kit_wait(is_get ?
                          ucp_get_nbx(ep, buf, size, region.remote + (1ul << 40),
                                      region.rkey, &param) :
                          ucp_put_nbx(ep, buf, size, region.remote + (1ul << 40),
                                      region.rkey, &param));
        flush_status = kit_wait(ucp_ep_flush_nbx(ep, &param));
        while ((ep_error == UCS_OK) && ((kit_now() - begin) < 20)) {
            kit_progress();
        }
        say("%s: request %s, flush %s, endpoint %s, after %.1f s", kit.stage,
            ucs_status_string(status), ucs_status_string(flush_status),
            ucs_status_string(ep_error), kit_now() - begin);
        if ((status == UCS_OK) && (flush_status == UCS_OK)) {
            die("access to what is not there raised no error");
        }
        if (ep_error == UCS_OK) {
            die("the endpoint did not hear of it");
        }
    }
    kit_barrier("again");
    ucp_rkey_destroy(region.rkey);
    reconnect();
    exchange(ptr, buf, size);
    kit_barrier("done");
    ucp_mem_unmap(context, region.memh);
    munmap(ptr, size);
    free(buf);
}

static void usage(void)
{
    printf("usage: vmp_memory [options]        first\n"
           "       vmp_memory [options] HOST   then; same options\n"
           "  -m BYTES  of what is sent (1048576)\n"
           "  -n N      rounds of each kind (6)\n"
           "  -H MIB    also a region of that size\n"
           "  -I        also access what is not there (peer error handling)\n"
           "  -M        not what mremap() puts over other memory\n"
           "  -R        not what cannot be written\n");
}

static void option(int c, const char *arg)
{
    switch (c) {
    case 'm':
        size = kit_number(arg, c, 16384, 1 << 28);
        break;
    case 'n':
        num_rounds = kit_number(arg, c, 1, 100000);
        break;
    case 'H':
        huge = kit_number(arg, c, 32, 1 << 20) << 20;
        break;
    case 'I':
        is_invalid = 1;
        break;
    case 'M':
        is_mremap = 0;
        break;
    case 'R':
        is_read_only = 0;
        break;
    }
}

static const kit_program_t program = {
    "vmp_memory", "13473", "m:n:H:IMR", option, usage
};


int main(int argc, char **argv)
{
    char before[1024];
    kit_blob_t mine;
    unsigned i;

    kit_options(&program, argc, argv);
    kit_net_open();
    kit_resources(before, sizeof(before));
    worker = kit_worker_open(UCP_FEATURE_TAG | UCP_FEATURE_RMA,
                             UCS_THREAD_MODE_SINGLE, &context);
    kit_worker_address(worker, &mine);
    kit_allgather(&mine, addrs, sizeof(mine));
    ep = kit_ep(worker, &addrs[!kit.rank], is_invalid ? on_ep_error : NULL,
                NULL);
    for (i = 0; i < (sizeof(sources) / sizeof(sources[0])); ++i) {
        if (is_mremap || (sources[i].take != take_mremap)) {
            test_remap(&sources[i]);
        }
    }
    test_regions();
    test_files();
    if (is_read_only) {
        test_read_only();
    }
    test_zero();
    if (huge > 0) {
        test_huge();
    }
    if (is_invalid) {
        test_invalid(0);
        test_invalid(1);
    }
    kit_barrier("close");
    kit_ep_close(ep, 0);
    kit_barrier("end");
    kit_worker_close(worker, context);
    kit_barrier("closed");
    kit_resources_check(before);
    kit_barrier("checked");
    if ((num_same == 0) && (num_rounds > 1)) {
        die("memory never came back at the same address");
    }
    /* the peer has sent as much */
    printf("vmp_memory: payload out %" PRIu64 " in %" PRIu64 "\n", bytes_out,
           bytes_out);
    say("PASS (%" PRIu64 " checks, %u times at the same address, seed %" PRIu64
        ")", num_checks, num_same, kit.seed);
    return 0;
}
