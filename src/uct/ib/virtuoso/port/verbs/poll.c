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


#define VMP_POLL_BATCH  VMP_VERBS_STASH_MAX


static vmp_wc_status_t vmp_verbs_wc_status(enum ibv_wc_status status)
{
    switch (status) {
    case IBV_WC_SUCCESS:
        return VMP_WC_SUCCESS;
    case IBV_WC_WR_FLUSH_ERR:
        return VMP_WC_FLUSHED;
    case IBV_WC_RETRY_EXC_ERR:
        return VMP_WC_RETRY_EXC;
    case IBV_WC_RNR_RETRY_EXC_ERR:
        return VMP_WC_RNR_EXC;
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_LOC_QP_OP_ERR:
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
        return VMP_WC_LOC_ERR;
    case IBV_WC_REM_ACCESS_ERR:
        return VMP_WC_REM_ACCESS;
    case IBV_WC_REM_INV_REQ_ERR:
        return VMP_WC_REM_INV_REQ;
    case IBV_WC_REM_OP_ERR:
        return VMP_WC_REM_OP;
    default:
        return VMP_WC_OTHER;
    }
}

static inline int vmp_verbs_poll(struct ibv_cq *cq, const char *name,
                                 const char *what, vmp_wc_t *wc, int max)
{
    struct ibv_wc ibv_wc[VMP_POLL_BATCH];
    int count = 0;
    int want, ret, i;

    do {
        want = max - count;
        if (want > VMP_POLL_BATCH) {
            want = VMP_POLL_BATCH;
        }

        ret = ibv_poll_cq(cq, want, ibv_wc);
        if (__builtin_expect(ret < 0, 0)) {
            /* What was taken before must not be lost: the next call fails */
            if (count > 0) {
                break;
            }
            vmp_error("%s: cannot poll the %s CQ (%d): it has overrun, or the "
                      "device is gone: see dmesg", name, what, ret);
            return -1;
        }

        for (i = 0; i < ret; ++i, ++count) {
            wc[count].wr_id  = ibv_wc[i].wr_id;
            wc[count].status = VMP_WC_SUCCESS;
            if (__builtin_expect(ibv_wc[i].status != IBV_WC_SUCCESS, 0)) {
                wc[count].status = vmp_verbs_wc_status(ibv_wc[i].status);
            }
            wc[count].byte_len   = ibv_wc[i].byte_len;
            wc[count].vendor_err = ibv_wc[i].vendor_err;
        }
    } while ((ret == want) && (count < max));

    return count;
}

int vmp_verbs_poll_rail(vmp_verbs_rail_t *rail, unsigned event, vmp_wc_t *wc,
                        int max)
{
    return (event == VMP_PORT_EVENT_TX) ?
           vmp_verbs_poll(rail->tx_cq, rail->name, "send", wc, max) :
           vmp_verbs_poll(rail->rx_cq, rail->name, "receive", wc, max);
}

int vmp_port_poll_tx(vmp_port_t *port, unsigned rail_index, vmp_wc_t *wc,
                     int max)
{
    vmp_verbs_rail_t *rail = &port->rails[rail_index];

    if (__builtin_expect(rail->stashed & VMP_VERBS_STASHED_TX, 0)) {
        return vmp_verbs_poll_stash(rail, VMP_PORT_EVENT_TX, wc, max);
    }

    return vmp_verbs_poll_rail(rail, VMP_PORT_EVENT_TX, wc, max);
}

int vmp_port_poll_rx(vmp_port_t *port, unsigned rail_index, vmp_wc_t *wc,
                     int max)
{
    vmp_verbs_rail_t *rail = &port->rails[rail_index];

    if (__builtin_expect(rail->stashed & VMP_VERBS_STASHED_RX, 0)) {
        return vmp_verbs_poll_stash(rail, VMP_PORT_EVENT_RX, wc, max);
    }

    return vmp_verbs_poll_rail(rail, VMP_PORT_EVENT_RX, wc, max);
}

const char *vmp_wc_status_str(vmp_wc_status_t status)
{
    switch (status) {
    case VMP_WC_SUCCESS:
        return "success";
    case VMP_WC_FLUSHED:
        return "flushed (the QP was in error)";
    case VMP_WC_RETRY_EXC:
        return "no answer from the peer (retries exceeded)";
    case VMP_WC_RNR_EXC:
        return "peer had no receive buffer (RNR retries exceeded)";
    case VMP_WC_LOC_ERR:
        return "local length, protection or QP error";
    case VMP_WC_REM_ACCESS:
        return "remote access error";
    case VMP_WC_REM_INV_REQ:
        return "remote invalid request";
    case VMP_WC_REM_OP:
        return "remote operation error";
    default:
        return "other error";
    }
}
