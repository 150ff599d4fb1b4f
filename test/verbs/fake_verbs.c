/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* Devices, memory, address handles, and what all files of the fake share */

#include "fake_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#undef ibv_query_port
#undef ibv_reg_mr
#undef ibv_get_device_list


fake_t fake;

/* 0: free, 1: held, 2: held and waited for. Not a pthread mutex, in which TSan
 * would see an order between the threads that take it */
static int fake_mutex;


void fake_lock(void)
{
    int state = 0;

    if (__atomic_compare_exchange_n(&fake_mutex, &state, 1, 0,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return;
    }

    while (__atomic_exchange_n(&fake_mutex, 2, __ATOMIC_ACQUIRE) != 0) {
        syscall(SYS_futex, &fake_mutex, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    }
}

void fake_unlock(void)
{
    if (__atomic_exchange_n(&fake_mutex, 0, __ATOMIC_RELEASE) == 2) {
        syscall(SYS_futex, &fake_mutex, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

uint64_t fake_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ((uint64_t)ts.tv_sec * 1000000000ul) + (uint64_t)ts.tv_nsec;
}

uint64_t fake_random(void)
{
    uint64_t x;

    fake.random += 0x9e3779b97f4a7c15ull;
    x            = fake.random;
    x            = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x            = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* TSan would look into memcpy() */
void fake_copy(void *to, const void *from, size_t length)
{
    const uint8_t *src = from;
    uint8_t *dst       = to;
    uint64_t word;
    size_t i;

    for (i = 0; i + sizeof(word) <= length; i += sizeof(word)) {
        word = ((const struct { uint64_t w; } __attribute__((packed))*)(src +
                                                                       i))->w;
        ((struct { uint64_t w; } __attribute__((packed))*)(dst + i))->w = word;
        __asm__ volatile("" ::: "memory");
    }
    for (; i < length; ++i) {
        dst[i] = src[i];
        __asm__ volatile("" ::: "memory");
    }
}

void fake_fault(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fprintf(stderr, "misuse of verbs: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    abort();
}

int fake_fd_make(void)
{
    return eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
}

void fake_fd_add(int fd)
{
    static const uint64_t one = 1;

    if (syscall(SYS_write, fd, &one, sizeof(one)) != sizeof(one)) {
        fake_fault("cannot write to an event fd");
    }
}

int fake_fd_take(int fd)
{
    uint64_t count;

    if (!(fcntl(fd, F_GETFL) & O_NONBLOCK)) {
        fake_fault("the channel is not set to non-blocking");
    }
    return (syscall(SYS_read, fd, &count, sizeof(count)) == sizeof(count)) ?
           0 : -1;
}


/* Devices */

static struct ibv_device fake_devs[FAKE_DEVS];
static struct ibv_device *fake_dev_list[FAKE_DEVS + 1];

/* The port looks there before it asks verbs */
DIR *__real_opendir(const char *name);
DIR *__wrap_opendir(const char *name);

DIR *__wrap_opendir(const char *name)
{
    return __real_opendir(strcmp(name, "/sys/class/infiniband") ? name : "/");
}

void fake_devs_init(void)
{
    unsigned i;

    for (i = 0; i < FAKE_DEVS; ++i) {
        fake_devs[i].node_type      = IBV_NODE_CA;
        fake_devs[i].transport_type = IBV_TRANSPORT_IB;
        snprintf(fake_devs[i].name, sizeof(fake_devs[i].name), "fake%u", i);
        fake_dev_list[i] = &fake_devs[i];
    }
}

struct ibv_device **ibv_get_device_list(int *num)
{
    if (num != NULL) {
        *num = FAKE_DEVS;
    }
    return fake_dev_list;
}

void ibv_free_device_list(struct ibv_device **list)
{
    (void)list;
}

const char *ibv_get_device_name(struct ibv_device *device)
{
    return device->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
    fake_ctx_t *ctx = calloc(1, sizeof(*ctx));

    ctx->ib.device            = device;
    ctx->ib.ops.poll_cq       = fake_poll_cq;
    ctx->ib.ops.req_notify_cq = fake_req_notify_cq;
    ctx->ib.ops.post_send     = fake_post_send;
    ctx->ib.ops.post_recv     = fake_post_recv;
    ctx->ib.ops.post_srq_recv = fake_post_srq_recv;
    ctx->ib.async_fd          = fake_fd_make();
    ctx->dev                  = (unsigned)(device - fake_devs);
    fake_lock();
    ctx->next     = fake.contexts;
    fake.contexts = ctx;
    ++fake.count[FAKE_CONTEXT];
    fake_unlock();
    return &ctx->ib;
}

int ibv_close_device(struct ibv_context *ib)
{
    fake_ctx_t *ctx = (fake_ctx_t*)ib;
    fake_ctx_t **prev;

    fake_lock();
    for (prev = &fake.contexts; *prev != ctx; prev = &(*prev)->next) {
    }
    *prev = ctx->next;
    --fake.count[FAKE_CONTEXT];
    fake_unlock();
    close(ctx->ib.async_fd);
    free(ctx);
    return 0;
}

int ibv_query_device(struct ibv_context *ib, struct ibv_device_attr *attr)
{
    (void)ib;
    memset(attr, 0, sizeof(*attr));
    attr->max_mr_size         = UINT64_MAX;
    attr->max_qp_wr           = 4096;
    attr->max_cqe             = 65536;
    attr->max_srq_wr          = 65536;
    attr->max_sge             = FAKE_MAX_SGE;
    attr->max_qp_rd_atom      = 16;
    attr->max_qp_init_rd_atom = 16;
    attr->phys_port_cnt       = 1;
    return 0;
}

int ibv_query_port(struct ibv_context *ib, uint8_t port_num,
                   struct _compat_ibv_port_attr *compat)
{
    /* The inline function has cleared it */
    struct ibv_port_attr *attr = (struct ibv_port_attr*)compat;

    (void)ib;
    if (port_num != 1) {
        return EINVAL;
    }

    attr->state        = IBV_PORT_ACTIVE;
    attr->max_mtu      = FAKE_MTU;
    attr->active_mtu   = FAKE_MTU;
    attr->gid_tbl_len  = 1;
    attr->pkey_tbl_len = 1;
    attr->active_speed = 32;
    attr->active_width = 2;
    attr->link_layer   = IBV_LINK_LAYER_ETHERNET;
    return 0;
}

/* ::ffff:10.0.0.N */
int ibv_query_gid(struct ibv_context *ib, uint8_t port_num, int index,
                  union ibv_gid *gid)
{
    (void)port_num;
    (void)index;
    memset(gid, 0, sizeof(*gid));
    gid->raw[10] = 0xff;
    gid->raw[11] = 0xff;
    gid->raw[12] = 10;
    gid->raw[15] = (uint8_t)(((fake_ctx_t*)ib)->dev + 1);
    return 0;
}

unsigned fake_gid_dev(const union ibv_gid *gid)
{
    return ((gid->raw[15] >= 1) && (gid->raw[15] <= FAKE_DEVS)) ?
           gid->raw[15] - 1u : FAKE_DEVS;
}

ssize_t _ibv_query_gid_table(struct ibv_context *ib,
                             struct ibv_gid_entry *entries, size_t max,
                             uint32_t flags, size_t entry_size)
{
    (void)flags;
    (void)entry_size;
    if (max < 1) {
        return -EINVAL;
    }

    memset(entries, 0, sizeof(*entries));
    ibv_query_gid(ib, 1, 0, &entries->gid);
    entries->port_num = 1;
    entries->gid_type = IBV_GID_TYPE_ROCE_V2;
    return 1;
}

int ibv_query_pkey(struct ibv_context *ib, uint8_t port_num, int index,
                   __be16 *pkey)
{
    (void)ib;
    (void)port_num;
    (void)index;
    *pkey = htons(0xffff);
    return 0;
}

enum ibv_fork_status ibv_is_fork_initialized(void)
{
    return IBV_FORK_UNNEEDED;
}

int ibv_fork_init(void)
{
    return 0;
}

const char *ibv_port_state_str(enum ibv_port_state state)
{
    return (state == IBV_PORT_ACTIVE) ? "active" : "not active";
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
    return (status == IBV_WC_SUCCESS) ? "success" : "not success";
}

const char *ibv_event_type_str(enum ibv_event_type type)
{
    (void)type;
    return "an event";
}


/* Memory and address handles */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *ib)
{
    struct ibv_pd *pd = calloc(1, sizeof(*pd));

    pd->context = ib;
    fake_lock();
    ++fake.count[FAKE_PD];
    fake_unlock();
    return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    fake_lock();
    --fake.count[FAKE_PD];
    fake_unlock();
    free(pd);
    return 0;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length,
                          int access)
{
    fake_mr_t *mr = calloc(1, sizeof(*mr));
    unsigned i;

    fake_lock();
    for (i = 1; (i < FAKE_MAX_MRS) && (fake.mrs[i] != NULL); ++i) {
    }
    if (i == FAKE_MAX_MRS) {
        fake_fault("too many memory regions");
    }

    mr->ib.context = pd->context;
    mr->ib.pd      = pd;
    mr->ib.addr    = addr;
    mr->ib.length  = length;
    mr->ib.lkey    = (i << 8) | ++fake.mr_gen[i];
    mr->ib.rkey    = mr->ib.lkey;
    mr->access     = access;
    mr->dev        = ((fake_ctx_t*)pd->context)->dev;
    fake.mrs[i]    = mr;
    ++fake.count[FAKE_MR];
    fake_unlock();
    return &mr->ib;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length,
                                uint64_t iova, unsigned access)
{
    (void)iova;
    return ibv_reg_mr(pd, addr, length, (int)access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
    fake_lock();
    fake.mrs[mr->lkey >> 8] = NULL;
    --fake.count[FAKE_MR];
    fake_unlock();
    free(mr);
    return 0;
}

int fake_mr_check(unsigned dev, uint32_t key, uint64_t addr, uint64_t length,
                  int access)
{
    const fake_mr_t *mr = (key >> 8) < FAKE_MAX_MRS ? fake.mrs[key >> 8] : NULL;

    return (length == 0) ||
           ((mr != NULL) && (mr->ib.lkey == key) && (mr->dev == dev) &&
            ((mr->access & access) == access) &&
            (addr >= (uintptr_t)mr->ib.addr) &&
            (addr + length <= (uintptr_t)mr->ib.addr + mr->ib.length));
}

unsigned fake_label_link(uint32_t flow_label)
{
    uint32_t x = flow_label * 2654435761u;

    return (x >> 16) % FAKE_LINKS;
}

struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr)
{
    fake_ah_t *ah = calloc(1, sizeof(*ah));

    ah->ib.context = pd->context;
    ah->ib.pd      = pd;
    ah->dev        = fake_gid_dev(&attr->grh.dgid);
    ah->link       = fake_label_link(attr->grh.flow_label);
    fake_lock();
    ++fake.count[FAKE_AH];
    fake_unlock();
    return &ah->ib;
}

int ibv_destroy_ah(struct ibv_ah *ib)
{
    fake_lock();
    --fake.count[FAKE_AH];
    fake_unlock();
    free(ib);
    return 0;
}


/* What tests ask */

unsigned fake_count(fake_kind_t kind)
{
    unsigned count;

    fake_lock();
    count = fake.count[kind];
    fake_unlock();
    return count;
}

const char *fake_kind_str(fake_kind_t kind)
{
    static const char *const names[] = {
        "contexts", "PDs", "MRs", "channels", "CQs", "SRQs", "QPs", "AHs"
    };

    return names[kind];
}
