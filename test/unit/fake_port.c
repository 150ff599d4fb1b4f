/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "fake_port_int.h"

#include "core/vmp_log.h"

#include <stdarg.h>
#include <string.h>

#define FAKE_MEM_MAX  4096


typedef struct fake_mem {
    uintptr_t address;
    size_t    length;
    unsigned  access;
    int       is_used;
} fake_mem_t;


fake_conf_t fake_conf;
uint64_t    fake_rnr_stalls;
uint64_t    vmp_check_seed;
vmp_log_level_t vmp_log_max_level = VMP_LOG_WARN;

uint64_t            fake_time;
static uint64_t     fake_seed;
static fake_mem_t   fake_mems[FAKE_MEM_MAX];
vmp_port_t          *fake_ports[FAKE_PORT_MAX];
unsigned            fake_num_ports;
static uint32_t     fake_last_qpn;
fake_dgram_t        *fake_dgrams;


void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG",
                                        "TRACE"};
    va_list ap;

    (void)file;
    (void)line;
    printf("  %9lu %s ", (unsigned long)fake_time, names[level]);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

void fake_init(uint64_t seed)
{
    memset(&fake_conf, 0, sizeof(fake_conf));
    memset(fake_mems, 0, sizeof(fake_mems));
    fake_conf.delay      = 1000;
    fake_conf.max_inline = 256;
    fake_conf.max_sge    = 5;
    fake_time            = 1000;
    fake_seed            = seed;
    vmp_check_seed       = seed;
    fake_rnr_stalls      = 0;
    fake_last_qpn        = 0x100;
    if (getenv("VMP_TEST_DEBUG") != NULL) {
        vmp_log_max_level = VMP_LOG_DEBUG;
    }
}

void fake_cleanup(void)
{
    fake_dgram_t *dgram;
    unsigned i;

    while ((dgram = fake_dgrams) != NULL) {
        fake_dgrams = dgram->next;
        free(dgram);
    }

    for (i = 0; i < FAKE_MEM_MAX; ++i) {
        VMP_CHECK(!fake_mems[i].is_used);
    }

    for (i = 0; i < fake_num_ports; ++i) {
        VMP_CHECK(fake_ports[i] == NULL);
    }

    fake_num_ports = 0;
}

uint64_t fake_now(void)
{
    return fake_time;
}

uint32_t fake_next_qpn(void)
{
    return fake_last_qpn++;
}

uint64_t fake_random(void)
{
    return vmp_check_random(&fake_seed);
}


/* Memory ------------------------------------------------------------------- */

vmp_status_t vmp_port_mem_reg(vmp_port_md_t *md, void *address, size_t length,
                              unsigned access, int silent, vmp_mem_t *mem)
{
    unsigned i;

    (void)md;
    (void)silent;
    for (i = 1; fake_mems[i].is_used; ++i) {
        VMP_CHECK(i + 1 < FAKE_MEM_MAX);
    }

    fake_mems[i] = (fake_mem_t){
        .address = (uintptr_t)address,
        .length  = length,
        .access  = access,
        .is_used = 1
    };
    memset(mem, 0, sizeof(*mem));
    mem->num_devs = 1;
    mem->lkey[0]  = i;
    mem->rkey[0]  = i + 0x10000;
    return VMP_OK;
}

vmp_status_t vmp_port_mem_dereg(vmp_mem_t *mem)
{
    VMP_CHECK(fake_mems[mem->lkey[0]].is_used);
    fake_mems[mem->lkey[0]].is_used = 0;
    return VMP_OK;
}

int fake_mem_ok(uint32_t key, uint64_t address, size_t length,
                unsigned access)
{
    const fake_mem_t *mem = &fake_mems[key % FAKE_MEM_MAX];

    return (key < FAKE_MEM_MAX) && mem->is_used && (address >= mem->address) &&
           ((address + length) <= (mem->address + mem->length)) &&
           ((mem->access & access) == access);
}


/* Interface ---------------------------------------------------------------- */

vmp_status_t vmp_port_open(vmp_port_md_t *md, const vmp_port_params_t *params,
                           vmp_port_t **port_p, vmp_port_attr_t *attr)
{
    vmp_port_t *port = calloc(1, sizeof(*port));

    (void)md;
    VMP_CHECK((port != NULL) && (fake_num_ports < FAKE_PORT_MAX));
    port->index    = fake_num_ports;
    port->params   = *params;
    port->tx.tail  = &port->tx.head;
    port->rx.tail  = &port->rx.head;
    port->ctl_time = UINT64_MAX;
    port->srq      = calloc(params->srq_depth, sizeof(*port->srq));
    VMP_CHECK(port->srq != NULL);
    fake_ports[fake_num_ports++] = port;

    memset(attr, 0, sizeof(*attr));
    attr->num_rails       = 1;
    attr->addr[0].gid[15] = port->index + 1;
    attr->addr[0].is_roce = 1;
    attr->addr[0].mtu     = 3;
    attr->num_ud          = 1;
    attr->ud_qpn[0][0]    = 0x10 + port->index;
    attr->sq_depth        = params->sq_depth;
    attr->cq_depth        = params->cq_depth;
    attr->srq_depth       = params->srq_depth;
    attr->max_inline      = fake_conf.max_inline;
    attr->max_sge         = fake_conf.max_sge;
    attr->max_rd_atomic   = 8;
    attr->path_mtu        = 3;
    attr->speed           = 1000000;
    *port_p               = port;
    return VMP_OK;
}

vmp_status_t vmp_port_start(vmp_port_t *port, struct vmp_ctl *ctl)
{
    port->ctl      = ctl;
    port->ctl_time = fake_time;
    return VMP_OK;
}

void vmp_port_stop(vmp_port_t *port)
{
    port->ctl = NULL;
}

static void fake_cq_drop(fake_cq_t *cq)
{
    fake_cqe_t *cqe;

    while ((cqe = cq->head) != NULL) {
        cq->head = cqe->next;
        free(cqe);
    }
}

void vmp_port_close(vmp_port_t *port)
{
    fake_dgram_t **dgram_p = &fake_dgrams;
    fake_dgram_t *dgram;

    VMP_CHECK((port->ctl == NULL) && (port->qps == NULL));
    while ((dgram = *dgram_p) != NULL) {
        if (dgram->dest == port) {
            *dgram_p = dgram->next;
            free(dgram);
        } else {
            dgram_p = &dgram->next;
        }
    }

    fake_cq_drop(&port->tx);
    fake_cq_drop(&port->rx);
    fake_ports[port->index] = NULL;
    free(port->srq);
    free(port);
}

void vmp_port_wake(vmp_port_t *port)
{
    port->ctl_time = fake_time;
}

int vmp_port_event_fd(vmp_port_t *port)
{
    (void)port;
    return -1;
}

vmp_status_t vmp_port_event_arm(vmp_port_t *port, unsigned events,
                                uint64_t deadline)
{
    return (((events & VMP_PORT_EVENT_TX) && (port->tx.head != NULL)) ||
            ((events & VMP_PORT_EVENT_RX) && (port->rx.head != NULL)) ||
            (deadline <= fake_time)) ? VMP_ERR_BUSY : VMP_OK;
}

void vmp_port_event_signal(vmp_port_t *port)
{
    (void)port;
}

uint64_t vmp_port_now(vmp_port_t *port)
{
    (void)port;
    return fake_time;
}

uint64_t vmp_port_random(vmp_port_t *port)
{
    (void)port;
    return fake_random();
}


/* Completions -------------------------------------------------------------- */

void fake_cq_push(fake_cq_t *cq, uint32_t depth, vmp_port_qp_t *qp,
                  uint32_t frees, const vmp_wc_t *wc)
{
    fake_cqe_t *cqe = calloc(1, sizeof(*cqe));

    VMP_CHECK((cqe != NULL) && (cq->num < depth));
    cqe->qp    = qp;
    cqe->wc    = *wc;
    cqe->frees = frees;
    *cq->tail  = cqe;
    cq->tail   = &cqe->next;
    ++cq->num;
    if (qp != NULL) {
        ++qp->cqes;
    }
}

static int fake_cq_poll(fake_cq_t *cq, vmp_wc_t *wc, int max)
{
    fake_cqe_t *cqe;
    int num;

    for (num = 0; (num < max) && ((cqe = cq->head) != NULL); ++num) {
        cq->head = cqe->next;
        if (cq->head == NULL) {
            cq->tail = &cq->head;
        }

        wc[num] = cqe->wc;
        --cq->num;
        if (cqe->qp != NULL) {
            --cqe->qp->cqes;
            cqe->qp->posted       -= cqe->frees;
            cqe->qp->port->posted -= cqe->frees;
        }

        free(cqe);
    }

    return num;
}

int vmp_port_poll_tx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc, int max)
{
    VMP_CHECK(rail == 0);
    return fake_cq_poll(&port->tx, wc, max);
}

int vmp_port_poll_rx(vmp_port_t *port, unsigned rail, vmp_wc_t *wc, int max)
{
    VMP_CHECK(rail == 0);
    return fake_cq_poll(&port->rx, wc, max);
}

int vmp_port_srq_post(vmp_port_t *port, unsigned rail, const uint64_t *wr_ids,
                      const vmp_sge_t *bufs, unsigned num)
{
    uint32_t depth = port->params.srq_depth;
    unsigned i;

    VMP_CHECK(rail == 0);
    for (i = 0; i < num; ++i) {
        VMP_CHECK((port->srq_head - port->srq_tail) < depth);
        VMP_CHECK(fake_mem_ok(bufs[i].lkey, bufs[i].addr, bufs[i].length,
                              VMP_MEM_LOCAL_WRITE));
        port->srq[port->srq_head++ % depth] =
                (fake_recv_t){wr_ids[i], bufs[i]};
    }

    return 0;
}

const char *vmp_wc_status_str(vmp_wc_status_t status)
{
    static const char *const names[] = {
        "success", "flushed", "retry exceeded", "RNR exceeded", "local error",
        "remote access", "remote invalid request", "remote operation", "other"
    };

    return names[status];
}


/* Posting ------------------------------------------------------------------ */

static fake_wr_t *fake_post(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                            const vmp_sge_t *sge, unsigned num_sge)
{
    fake_wr_t *wr;
    unsigned i;
    size_t pos;

    if ((fake_conf.post_fail_after > 0) && (--fake_conf.post_fail_after == 0)) {
        return NULL;
    }

    VMP_CHECK(qp->is_connected && (num_sge <= fake_conf.max_sge));
    VMP_CHECK(qp->posted < qp->port->params.sq_depth);
    /* R10: whether signalled or not */
    VMP_CHECK(qp->port->posted++ < qp->port->params.cq_depth);
    wr = calloc(1, sizeof(*wr));
    VMP_CHECK(wr != NULL);
    wr->wr_id   = wr_id;
    wr->flags   = flags;
    wr->num_sge = num_sge;
    for (i = 0; i < num_sge; ++i) {
        wr->sge[i]  = sge[i];
        wr->length += sge[i].length;
        VMP_CHECK((flags & VMP_POST_INLINE) ||
                  fake_mem_ok(sge[i].lkey, sge[i].addr, sge[i].length, 0));
    }

    if (flags & VMP_POST_INLINE) {
        VMP_CHECK(wr->length <= fake_conf.max_inline);
        wr->data = malloc(wr->length + 1);
        VMP_CHECK(wr->data != NULL);
        for (i = 0, pos = 0; i < num_sge; pos += sge[i].length, ++i) {
            memcpy(wr->data + pos, (void*)(uintptr_t)sge[i].addr,
                   sge[i].length);
        }
    }

    wr->exec_time = fake_time + qp->delay + (wr->length / 16) +
                    (qp->jitter ? (fake_random() % qp->jitter) : 0);
    if (wr->exec_time < qp->last_exec) {
        wr->exec_time = qp->last_exec;
    }

    qp->last_exec = wr->exec_time;
    wr->ack_time  = wr->exec_time + qp->delay;
    *qp->tail     = wr;
    qp->tail      = &wr->next;
    ++qp->posted;
    ++qp->num_wrs;
    return wr;
}

int vmp_port_post_send(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge)
{
    fake_wr_t *wr = fake_post(qp, wr_id, flags, sge, num_sge);

    if (wr == NULL) {
        return -1;
    }

    wr->type = FAKE_SEND;
    return 0;
}

int vmp_port_post_write(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                        const vmp_sge_t *sge, unsigned num_sge,
                        uint64_t remote_addr, uint32_t rkey)
{
    fake_wr_t *wr = fake_post(qp, wr_id, flags, sge, num_sge);

    if (wr == NULL) {
        return -1;
    }

    wr->type        = FAKE_WRITE;
    wr->remote_addr = remote_addr;
    wr->rkey        = rkey;
    return 0;
}

int vmp_port_post_read(vmp_port_qp_t *qp, uint64_t wr_id, unsigned flags,
                       const vmp_sge_t *sge, unsigned num_sge,
                       uint64_t remote_addr, uint32_t rkey)
{
    fake_wr_t *wr = fake_post(qp, wr_id, flags, sge, num_sge);

    if (wr == NULL) {
        return -1;
    }

    wr->type        = FAKE_READ;
    wr->remote_addr = remote_addr;
    wr->rkey        = rkey;
    return 0;
}
