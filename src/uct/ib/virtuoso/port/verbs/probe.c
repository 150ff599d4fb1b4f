/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "verbs_port.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>


/** More registered memory than an interface opens with; with the default settings
 *  it wants 9 MiB, and goes on with fewer buffers if it gets less */
#define VMP_VERBS_PROBE_MEM  (4ul << 20)


/** Whether enough memory can be registered: an interface that is listed but
 *  cannot be opened would end the application. */
static int vmp_verbs_probe_mem(struct ibv_pd *pd, const char *name)
{
    static atomic_flag is_told = ATOMIC_FLAG_INIT;
    struct rlimit limit;
    struct ibv_mr *mr;
    void *mem;
    int err;

    if ((getrlimit(RLIMIT_MEMLOCK, &limit) != 0) ||
        (limit.rlim_cur == RLIM_INFINITY)) {
        return 0;
    }

    mem = mmap(NULL, VMP_VERBS_PROBE_MEM, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
        return -1;
    }

    mr  = ibv_reg_mr(pd, mem, VMP_VERBS_PROBE_MEM, IBV_ACCESS_LOCAL_WRITE);
    err = errno;
    if (mr != NULL) {
        ibv_dereg_mr(mr);
    } else if (!atomic_flag_test_and_set(&is_told)) {
        vmp_warn("%s: not used: cannot register %lu bytes with a limit of %lu "
                 "KiB of locked memory: %s%s", name, VMP_VERBS_PROBE_MEM,
                 (unsigned long)limit.rlim_cur / 1024, strerror(err),
                 vmp_verbs_hint(err));
    }

    munmap(mem, VMP_VERBS_PROBE_MEM);
    errno = err;
    return (mr != NULL) ? 0 : -1;
}

static struct ibv_qp *vmp_verbs_probe_qp(struct ibv_pd *pd, struct ibv_cq *cq,
                                         struct ibv_srq *srq,
                                         enum ibv_qp_type type)
{
    struct ibv_qp_init_attr attr = {
        .send_cq = cq,
        .recv_cq = cq,
        .srq     = srq,
        .cap     = { .max_send_wr  = 4,
                     .max_send_sge = 1,
                     .max_recv_wr  = (srq == NULL) ? 4 : 0,
                     .max_recv_sge = (srq == NULL) ? 1 : 0 },
        .qp_type = type
    };

    return ibv_create_qp(pd, &attr);
}

int vmp_verbs_probe(struct ibv_context *ctx, const char *name)
{
    struct ibv_srq_init_attr srq_attr = {
        .attr = { .max_wr = 4, .max_sge = 1 }
    };
    struct ibv_srq *srq  = NULL;
    struct ibv_cq *cq    = NULL;
    struct ibv_qp *rc_qp = NULL;
    struct ibv_qp *ud_qp = NULL;
    const char *what;
    struct ibv_pd *pd;
    int err = 0;

    what = "protection domain";
    pd   = ibv_alloc_pd(ctx);
    if (pd == NULL) {
        goto err;
    }

    what = "memory region";
    if (vmp_verbs_probe_mem(pd, name) != 0) {
        goto err;
    }

    what = "CQ";
    cq   = ibv_create_cq(ctx, 8, NULL, NULL, 0);
    if (cq == NULL) {
        goto err;
    }

    what = "SRQ";
    srq  = ibv_create_srq(pd, &srq_attr);
    if (srq == NULL) {
        goto err;
    }

    what  = "RC QP with an SRQ";
    rc_qp = vmp_verbs_probe_qp(pd, cq, srq, IBV_QPT_RC);
    if (rc_qp == NULL) {
        goto err;
    }

    what  = "UD QP";
    ud_qp = vmp_verbs_probe_qp(pd, cq, NULL, IBV_QPT_UD);
    if (ud_qp == NULL) {
        goto err;
    }
    goto out;

err:
    err = errno;
    vmp_debug("%s: cannot make a %s: %s", name, what, strerror(err));
out:
    if (ud_qp != NULL) {
        ibv_destroy_qp(ud_qp);
    }
    if (rc_qp != NULL) {
        ibv_destroy_qp(rc_qp);
    }
    if (srq != NULL) {
        ibv_destroy_srq(srq);
    }
    if (cq != NULL) {
        ibv_destroy_cq(cq);
    }
    if (pd != NULL) {
        ibv_dealloc_pd(pd);
    }
    return (err == 0) ? 0 : -1;
}
