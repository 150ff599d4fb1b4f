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
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>


#define VMP_VERBS_MIN_SQ_DEPTH  16      /* as UCX_VMP_TX_QUEUE_LEN has it */


static unsigned vmp_verbs_mtu_bytes(unsigned mtu)
{
    return 128u << mtu;
}

static uint32_t vmp_verbs_clamp(uint32_t value, uint32_t limit,
                                const char *name, const char *what)
{
    if (value <= limit) {
        return value;
    }

    vmp_info("%s: %s of %u is more than the device has: %u", name, what, value,
             limit);
    return limit;
}

static vmp_status_t vmp_verbs_check_params(const vmp_port_md_t *md,
                                           const vmp_port_params_t *params)
{
    unsigned i;

    if ((params->num_rails == 0) || (params->num_rails > VMP_MAX_RAILS) ||
        (params->num_ud == 0) || (params->num_ud > VMP_MAX_UD) ||
        (params->path_mtu > IBV_MTU_4096) || (params->timeout > 31) ||
        (params->min_rnr_timer > 31) || (params->sl > 15) ||
        (params->sq_depth == 0) || (params->cq_depth == 0) ||
        (params->srq_depth == 0) || (params->max_sge == 0)) {
        vmp_error("settings of an interface out of range: rails %u (1..%d), "
                  "control QPs %u (1..%d), MTU code %u (0..5), TIMEOUT code %u "
                  "(0..31), RNR timer code %u (0..31), SL %u (0..15), depths "
                  "%u %u %u and %u SGEs (not 0)",
                  params->num_rails, VMP_MAX_RAILS, params->num_ud, VMP_MAX_UD,
                  params->path_mtu, params->timeout, params->min_rnr_timer,
                  params->sl, params->sq_depth, params->cq_depth,
                  params->srq_depth, params->max_sge);
        return VMP_ERR_INVALID_PARAM;
    }

    if (params->retry_count > 6) {
        vmp_error("RETRY_COUNT %u: use 0 to 6 (soft-RoCE takes 7 as for ever)",
                  params->retry_count);
        return VMP_ERR_INVALID_PARAM;
    }

    for (i = 0; i < params->num_rails; ++i) {
        if (params->rails[i].dev_index >= md->num_devs) {
            vmp_error("rail %u is on device %u, but only %u are open", i,
                      params->rails[i].dev_index, md->num_devs);
            return VMP_ERR_INVALID_PARAM;
        }
    }
    return VMP_OK;
}

static vmp_status_t vmp_verbs_rail_mtu(vmp_port_t *port,
                                       const vmp_verbs_rail_t *rail,
                                       const struct ibv_port_attr *attr)
{
    unsigned mtu = port->params.path_mtu;

    if (mtu > attr->active_mtu) {
        vmp_error("%s: PATH_MTU %u is above the port's %u; for RoCE raise the "
                  "MTU of the network interface, or lower the setting",
                  rail->name, vmp_verbs_mtu_bytes(mtu),
                  vmp_verbs_mtu_bytes(attr->active_mtu));
        return VMP_ERR_INVALID_PARAM;
    }

    if (mtu == 0) {
        mtu = attr->active_mtu;
    }
    if ((port->path_mtu == 0) || (mtu < port->path_mtu)) {
        port->path_mtu = (uint8_t)mtu;
    }
    return VMP_OK;
}

/** Find out where the rail is in the network. */
static vmp_status_t vmp_verbs_rail_resolve(vmp_port_t *port,
                                           vmp_verbs_rail_t *rail)
{
    struct ibv_port_attr attr;
    vmp_status_t status;
    vmp_verbs_gid_t gid;
    int ret;

    if ((rail->port_num == 0) ||
        (rail->port_num > rail->dev->attr.phys_port_cnt)) {
        vmp_error("%s: the device has ports 1 to %u", rail->name,
                  rail->dev->attr.phys_port_cnt);
        return VMP_ERR_NO_DEVICE;
    }

    ret = ibv_query_port(rail->dev->ctx, rail->port_num, &attr);
    if (ret != 0) {
        vmp_error("%s: cannot query the port: %s%s", rail->name, strerror(ret),
                  vmp_verbs_hint(ret));
        return VMP_ERR_IO_ERROR;
    }

    if (attr.state != IBV_PORT_ACTIVE) {
        vmp_error("%s: the port is %s, not active: check cable and network "
                  "interface", rail->name, ibv_port_state_str(attr.state));
        return VMP_ERR_NO_DEVICE;
    }

    status = vmp_verbs_gid_select(rail->dev->ctx, rail->port_num, &attr,
                                  port->params.gid_index, rail->name,
                                  VMP_LOG_ERROR, &gid);
    if (status != VMP_OK) {
        return status;
    }

    status = vmp_verbs_pkey_find(rail->dev->ctx, rail->port_num, &attr,
                                 port->params.pkey, rail->name,
                                 &rail->pkey_index);
    if (status != VMP_OK) {
        return status;
    }

    status = vmp_verbs_rail_mtu(port, rail, &attr);
    if (status != VMP_OK) {
        return status;
    }

    rail->is_roce      = (attr.link_layer == IBV_LINK_LAYER_ETHERNET);
    rail->lmc          = attr.lmc;
    rail->gid_index    = gid.index;
    rail->gid_type     = gid.type;
    rail->speed        = vmp_verbs_port_speed(&attr);
    rail->addr.lid     = attr.lid;
    rail->addr.is_roce = rail->is_roce;
    memcpy(rail->addr.gid, gid.gid.raw, sizeof(rail->addr.gid));
    return VMP_OK;
}

/** Try to make a QP. Return 0 and what it got, or errno. */
static int vmp_verbs_try_qp(vmp_verbs_rail_t *rail, struct ibv_qp_cap *cap)
{
    struct ibv_qp_init_attr attr = {
        .send_cq = rail->tx_cq,
        .recv_cq = rail->rx_cq,
        .srq     = rail->srq,
        .cap     = *cap,
        .qp_type = IBV_QPT_RC
    };
    struct ibv_qp *qp;

    qp = ibv_create_qp(rail->dev->pd, &attr);
    if (qp == NULL) {
        return errno;
    }

    ibv_destroy_qp(qp);
    cap->max_inline_data = attr.cap.max_inline_data;
    return 0;
}

/** Find what QPs can be had: first less inline data, then fewer pieces, then
 *  shorter queues than wanted. */
static vmp_status_t vmp_verbs_probe_cap(vmp_verbs_rail_t *rail,
                                        struct ibv_qp_cap *cap)
{
    struct ibv_qp_cap want = *cap;
    uint32_t max_inline;
    int ret = ENOMEM;

    for (; want.max_send_wr >= VMP_VERBS_MIN_SQ_DEPTH; want.max_send_wr /= 2) {
        for (; want.max_send_sge > 0; --want.max_send_sge) {
            max_inline = cap->max_inline_data;
            for (;;) {
                want.max_inline_data = max_inline;
                ret                  = vmp_verbs_try_qp(rail, &want);
                if (ret == 0) {
                    goto found;
                }
                if ((ret == EPERM) || (ret == EACCES) || (ret == ENODEV)) {
                    goto err;
                }
                if (max_inline == 0) {
                    break;
                }
                max_inline = (max_inline >= 32) ? (max_inline / 2) : 0;
            }
        }
        want.max_send_sge = cap->max_send_sge;
    }

err:
    vmp_error("%s: cannot make an RC QP of %u sends: %s%s", rail->name,
              cap->max_send_wr, strerror(ret), vmp_verbs_hint(ret));
    return VMP_ERR_NO_MEMORY;

found:
    if ((want.max_send_wr < cap->max_send_wr) ||
        (want.max_send_sge < cap->max_send_sge) ||
        (want.max_inline_data < cap->max_inline_data)) {
        vmp_info("%s: QPs have %u sends, %u SGEs and %u inline bytes; wanted "
                 "were %u, %u and %u", rail->name, want.max_send_wr,
                 want.max_send_sge, want.max_inline_data, cap->max_send_wr,
                 cap->max_send_sge, cap->max_inline_data);
    }
    cap->max_send_wr     = want.max_send_wr;
    cap->max_send_sge    = want.max_send_sge;
    cap->max_inline_data = want.max_inline_data;
    return VMP_OK;
}

static uint32_t vmp_verbs_pow2_floor(uint32_t value)
{
    while (value & (value - 1)) {
        value &= value - 1;
    }
    return value;
}

/** Bring depths within the limits of the rail's device. */
static void vmp_verbs_clamp_params(vmp_port_t *port,
                                   const vmp_verbs_rail_t *rail)
{
    const struct ibv_device_attr *attr = &rail->dev->attr;
    vmp_port_params_t *params          = &port->params;
    uint32_t max_rd;

    params->sq_depth = vmp_verbs_pow2_floor(
            vmp_verbs_clamp(params->sq_depth, (uint32_t)attr->max_qp_wr,
                            rail->name, "send queue"));
    params->cq_depth = vmp_verbs_clamp(params->cq_depth,
                                       (uint32_t)attr->max_cqe, rail->name,
                                       "send CQ");
    /* The receive CQ has room for every buffer of the SRQ */
    params->srq_depth = vmp_verbs_clamp(params->srq_depth,
                                        (uint32_t)attr->max_srq_wr, rail->name,
                                        "SRQ");
    params->srq_depth = vmp_verbs_clamp(params->srq_depth,
                                        (uint32_t)attr->max_cqe, rail->name,
                                        "receive CQ");
    params->max_sge = (uint8_t)vmp_verbs_clamp(params->max_sge,
                                               (uint32_t)attr->max_sge,
                                               rail->name, "SGEs");

    /* We are both requester and responder */
    max_rd = (uint32_t)((attr->max_qp_rd_atom < attr->max_qp_init_rd_atom) ?
                        attr->max_qp_rd_atom : attr->max_qp_init_rd_atom);
    params->max_rd_atomic = (uint8_t)vmp_verbs_clamp(params->max_rd_atomic,
                                                     max_rd, rail->name,
                                                     "reads in flight");
}

static struct ibv_cq *vmp_verbs_cq_create(vmp_verbs_rail_t *rail, uint32_t cqe,
                                          const char *what)
{
    struct ibv_cq *cq;

    cq = ibv_create_cq(rail->dev->ctx, (int)cqe, NULL, rail->channel, 0);
    if (cq == NULL) {
        vmp_error("%s: cannot make the %s CQ of %u entries: %s%s", rail->name,
                  what, cqe, strerror(errno), vmp_verbs_hint(errno));
    }
    return cq;
}

/** Make CQs and SRQ. What was made is undone by vmp_verbs_rail_close(). */
static vmp_status_t vmp_verbs_rail_open(vmp_port_t *port,
                                        vmp_verbs_rail_t *rail)
{
    struct ibv_srq_init_attr srq_attr = {
        .attr = { .max_wr = port->params.srq_depth, .max_sge = 1 }
    };

    rail->channel = vmp_verbs_channel_create(rail->dev->ctx);
    if (rail->channel == NULL) {
        vmp_error("%s: cannot make a completion channel: %s%s", rail->name,
                  strerror(errno), vmp_verbs_hint(errno));
        return VMP_ERR_NO_RESOURCE;
    }

    rail->tx_cq = vmp_verbs_cq_create(rail, port->params.cq_depth, "send");
    if (rail->tx_cq == NULL) {
        return VMP_ERR_NO_MEMORY;
    }

    rail->rx_cq = vmp_verbs_cq_create(rail, port->params.srq_depth, "receive");
    if (rail->rx_cq == NULL) {
        return VMP_ERR_NO_MEMORY;
    }

    rail->srq = ibv_create_srq(rail->dev->pd, &srq_attr);
    if (rail->srq == NULL) {
        vmp_error("%s: cannot make an SRQ of %u buffers: %s%s", rail->name,
                  port->params.srq_depth, strerror(errno),
                  vmp_verbs_hint(errno));
        return VMP_ERR_NO_MEMORY;
    }

    return vmp_verbs_probe_cap(rail, &port->qp_cap);
}

static void vmp_verbs_rail_close(vmp_verbs_rail_t *rail)
{
    int ret;

    vmp_verbs_ud_close(rail);
    if (rail->srq != NULL) {
        ret = ibv_destroy_srq(rail->srq);
        if (ret != 0) {
            vmp_warn("%s: cannot destroy the SRQ: %s (QPs left?)", rail->name,
                     strerror(ret));
        }
    }

    if (rail->rx_cq != NULL) {
        ret = ibv_destroy_cq(rail->rx_cq);
        if (ret != 0) {
            vmp_warn("%s: cannot destroy the receive CQ: %s (QPs left?)",
                     rail->name, strerror(ret));
        }
    }

    if (rail->tx_cq != NULL) {
        ret = ibv_destroy_cq(rail->tx_cq);
        if (ret != 0) {
            vmp_warn("%s: cannot destroy the send CQ: %s (QPs left?)",
                     rail->name, strerror(ret));
        }
    }

    if (rail->channel != NULL) {
        (void)ibv_destroy_comp_channel(rail->channel);
    }
}

static void vmp_verbs_close(vmp_port_t *port)
{
    unsigned i;

    for (i = 0; i < port->num_rails; ++i) {
        vmp_verbs_rail_close(&port->rails[i]);
    }
    vmp_verbs_wakeup_close(&port->wakeup);
    close(port->wake_fd);
    free(port);
}

static void vmp_verbs_seed(vmp_port_t *port)
{
    uint64_t seed;

    /* EINTR cannot happen for so few bytes; before the kernel's generator is
     * ready, or without it, mix what differs between processes and hosts */
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
        seed = vmp_verbs_mix(vmp_verbs_now()) ^
               vmp_verbs_mix((uint64_t)getpid() << 32) ^
               vmp_verbs_mix((uintptr_t)port);
        seed ^= vmp_verbs_mix(*(const uint32_t*)&port->rails[0].addr.gid[12]);
    }
    atomic_init(&port->random, seed);
}

static void vmp_verbs_fill_attr(const vmp_port_t *port, vmp_port_attr_t *attr)
{
    const vmp_verbs_rail_t *rail;
    unsigned i, ud;

    memset(attr, 0, sizeof(*attr));
    attr->num_rails     = port->num_rails;
    attr->num_ud        = port->params.num_ud;
    attr->sq_depth      = port->params.sq_depth;
    attr->cq_depth      = port->params.cq_depth;
    attr->srq_depth     = port->params.srq_depth;
    attr->max_inline    = port->qp_cap.max_inline_data;
    attr->max_sge       = (uint8_t)port->qp_cap.max_send_sge;
    attr->max_rd_atomic = port->params.max_rd_atomic;
    attr->path_mtu      = port->path_mtu;
    attr->speed         = port->rails[0].speed;

    for (i = 0; i < port->num_rails; ++i) {
        rail               = &port->rails[i];
        attr->addr[i]      = rail->addr;
        attr->dev_index[i] = rail->dev_index;
        for (ud = 0; ud < rail->ud.num_qps; ++ud) {
            attr->ud_qpn[i][ud] = rail->ud.qp[ud]->qp_num;
        }
    }
}

static void vmp_verbs_rails_init(vmp_port_t *port)
{
    vmp_verbs_rail_t *rail;
    unsigned i;

    for (i = 0; i < port->num_rails; ++i) {
        rail            = &port->rails[i];
        rail->dev_index = port->params.rails[i].dev_index;
        rail->port_num  = port->params.rails[i].port_num;
        rail->dev       = &port->md->devs[rail->dev_index];
        snprintf(rail->name, sizeof(rail->name), "%s:%u", rail->dev->name,
                 rail->port_num);
        vmp_verbs_ah_init(&rail->ud);
    }
}

vmp_status_t vmp_port_open(vmp_port_md_t *md, const vmp_port_params_t *params,
                           vmp_port_t **port_p, vmp_port_attr_t *attr)
{
    vmp_status_t status;
    vmp_port_t *port;
    unsigned i;

    status = vmp_verbs_check_params(md, params);
    if (status != VMP_OK) {
        return status;
    }

    port = calloc(1, sizeof(*port));
    if (port == NULL) {
        vmp_error("no memory for an interface");
        return VMP_ERR_NO_MEMORY;
    }

    port->md        = md;
    port->params    = *params;
    port->num_rails = params->num_rails;
    port->fork_gen  = vmp_verbs_fork_gen;
    vmp_verbs_wakeup_init(&port->wakeup);
    port->wake_fd   = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (port->wake_fd < 0) {
        vmp_error("cannot make an event fd: %s (too many open files? ulimit "
                  "-n)", strerror(errno));
        status = VMP_ERR_NO_RESOURCE;
        goto err_free;
    }

    vmp_verbs_rails_init(port);
    for (i = 0; i < port->num_rails; ++i) {
        status = vmp_verbs_rail_resolve(port, &port->rails[i]);
        if (status != VMP_OK) {
            goto err_close;
        }
        vmp_verbs_clamp_params(port, &port->rails[i]);
    }

    port->qp_cap.max_send_wr     = port->params.sq_depth;
    port->qp_cap.max_send_sge    = port->params.max_sge;
    port->qp_cap.max_inline_data = port->params.max_inline;
    for (i = 0; i < port->num_rails; ++i) {
        port->rails[i].addr.mtu = port->path_mtu;
        status                  = vmp_verbs_rail_open(port, &port->rails[i]);
        if (status != VMP_OK) {
            goto err_close;
        }
    }
    port->params.sq_depth = port->qp_cap.max_send_wr;

    for (i = 0; i < port->num_rails; ++i) {
        status = vmp_verbs_ud_open(port, &port->rails[i]);
        if (status != VMP_OK) {
            goto err_close;
        }
    }

    status = vmp_verbs_wakeup_open(port);
    if (status != VMP_OK) {
        goto err_close;
    }

    vmp_verbs_seed(port);
    vmp_verbs_ports_add(port);
    vmp_verbs_fill_attr(port, attr);
    vmp_debug("%s: GID index %d, P_Key index %u, MTU %u, %u sends, %u inline, "
              "SRQ %u, CQ %u, %u control QPs", port->rails[0].name,
              port->rails[0].gid_index, port->rails[0].pkey_index,
              vmp_verbs_mtu_bytes(port->path_mtu), attr->sq_depth,
              attr->max_inline, attr->srq_depth, attr->cq_depth, attr->num_ud);
    *port_p = port;
    return VMP_OK;

err_close:
    vmp_verbs_close(port);
    return status;

err_free:
    free(port);
    return status;
}

void vmp_port_close(vmp_port_t *port)
{
    if (port->fork_gen != vmp_verbs_fork_gen) {
        return; /* the parent's */
    }

    vmp_verbs_ports_remove(port);
    vmp_verbs_close(port);
}

void vmp_port_wake(vmp_port_t *port)
{
    static const uint64_t one = 1;

    if (port->fork_gen != vmp_verbs_fork_gen) {
        return; /* would wake the parent's */
    }

    /* Full means that the helper is to wake up already */
    if (write(port->wake_fd, &one, sizeof(one)) != sizeof(one)) {
        vmp_trace("%s: helper is awake", port->rails[0].name);
    }
}

uint64_t vmp_port_now(vmp_port_t *port)
{
    (void)port;
    return vmp_verbs_now();
}

uint64_t vmp_port_random(vmp_port_t *port)
{
    /* splitmix64: any thread may draw */
    return vmp_verbs_mix(
            atomic_fetch_add_explicit(&port->random, 0x9e3779b97f4a7c15ull,
                                      memory_order_relaxed));
}
