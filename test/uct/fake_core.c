/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "fake_core.h"
#include "core/vmp_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define FAKE_MAX_MSG   8192
#define FAKE_MAX_SHORT 100


typedef struct fake_msg {
    struct fake_msg *next;
    uint8_t         am_id;
    size_t          length;
    char            data[];
} fake_msg_t;

typedef struct fake_comp {
    struct fake_comp *next;
    void             *comp;
    void             (*unpack)(void);
    void             *unpack_arg;
    const void       *data;
    size_t           length;
} fake_comp_t;

struct vmp_rx {
    size_t length;
    char   bytes[];     /* private bytes, headroom, payload */
};

struct vmp_iface {
    struct vmp_iface   *next;
    vmp_iface_params_t params;
    vmp_iface_ops_t    ops;
    uint64_t           id;
    fake_msg_t         *msgs;
    fake_comp_t        *comps;
    vmp_ep_t           *waiting;
    vmp_ep_t           *invalidated;
};

struct vmp_conn {
    vmp_iface_t *iface;
    uint64_t    peer_id;
};

fake_core_t fake_core = {
    .num_devices = 1,
    .event_fd    = 12345
};

static vmp_iface_t *fake_ifaces = NULL;
static uint64_t fake_next_id    = 100;
static vmp_ep_t *fake_running   = NULL; /* its ep_ready is being called */


/* Interface ---------------------------------------------------------------- */

vmp_status_t vmp_iface_create(vmp_port_md_t *md,
                              const vmp_iface_params_t *params,
                              vmp_iface_t **iface_p)
{
    vmp_iface_t *iface;

    fake_core.params = *params;
    if (fake_core.create_status != VMP_OK) {
        return fake_core.create_status;
    }

    iface             = calloc(1, sizeof(*iface));
    iface->params     = *params;
    iface->ops        = *params->ops;
    iface->params.ops = &iface->ops;
    iface->id         = fake_next_id++;
    iface->next       = fake_ifaces;
    fake_ifaces       = iface;
    *iface_p          = iface;
    return VMP_OK;
}

void vmp_iface_destroy(vmp_iface_t *iface)
{
    vmp_iface_t **link = &fake_ifaces;

    while (*link != iface) {
        link = &(*link)->next;
    }

    *link = iface->next;
    if (iface->params.ops->stats != NULL) {
        iface->params.ops->stats(iface->params.arg, "{\"type\":\"iface\"}");
    }
    free(iface);
}

void vmp_iface_query(const vmp_iface_t *iface, vmp_iface_attr_t *attr)
{
    static const uint8_t gid[16] = {[10] = 0xff, [11] = 0xff, 10, 1, 2, 1};

    memset(attr, 0, sizeof(*attr));
    memcpy(attr->rail_addr.gid, gid, sizeof(gid));
    attr->rail_addr.is_roce = 1;
    attr->rail_addr.mtu     = 5;
    attr->addr.id           = iface->id;
    attr->addr.ver_min      = VMP_WIRE_VER_MIN;
    attr->addr.ver_max      = VMP_WIRE_VER_MAX;
    attr->addr.num_ud       = 1;
    attr->addr.ud_qpn[0]    = 17;
    attr->max_short         = FAKE_MAX_SHORT;
    attr->max_bcopy         = FAKE_MAX_MSG;
    attr->max_zcopy_am      = fake_core.no_am_zcopy ? 0 : FAKE_MAX_MSG;
    attr->max_zcopy_hdr     = 256;
    attr->max_zcopy_rma     = 1ul << 30;
    attr->max_iov           = VMP_MAX_IOV;
    attr->path_mtu          = fake_core.path_mtu ? fake_core.path_mtu : 4096;
    attr->speed             = 3000000000ul;
}

static void fake_deliver(vmp_iface_t *iface, fake_msg_t *msg)
{
    size_t skip  = iface->params.rx_priv + iface->params.rx_headroom;
    vmp_rx_t *rx = malloc(sizeof(*rx) + skip + msg->length);

    memcpy(rx->bytes + skip, msg->data, msg->length);
    if (iface->params.ops->am(iface->params.arg, msg->am_id, rx->bytes + skip,
                              msg->length, rx)) {
        ++fake_core.num_kept;
    } else {
        free(rx);
    }

    free(msg);
}

static void fake_complete(vmp_iface_t *iface, fake_comp_t *comp)
{
    const vmp_iface_ops_t *ops = iface->params.ops;

    if (comp->unpack != NULL) {
        ops->unpack(iface->params.arg, comp->unpack, comp->unpack_arg,
                    comp->data, comp->length);
    }

    ops->complete(iface->params.arg, comp->comp, VMP_OK);
    free(comp);
}

unsigned vmp_iface_progress(vmp_iface_t *iface)
{
    int again;
    unsigned count = 0;
    vmp_ep_t *ep, *next;
    fake_comp_t *comp;
    fake_msg_t *msg;

    if (iface->invalidated != NULL) {
        ep                 = iface->invalidated;
        iface->invalidated = NULL;
        fake_core_fail(ep, VMP_ERR_CONNECTION_RESET);
        ++count;
    }

    while ((msg = iface->msgs) != NULL) {
        iface->msgs = msg->next;
        fake_deliver(iface, msg);
        ++count;
    }

    while ((comp = iface->comps) != NULL) {
        iface->comps = comp->next;
        fake_complete(iface, comp);
        ++count;
    }

    if (fake_core.room == 0) {
        return count;
    }

    next           = iface->waiting;
    iface->waiting = NULL;
    while ((ep = next) != NULL) {
        next           = ep->ready_next;
        ep->ready_next = NULL;
        fake_running   = ep;
        again          = iface->params.ops->ep_ready(iface->params.arg, ep);
        if (fake_running == ep) {
            ep->is_waiting = 0;
            if (again) {
                vmp_ep_wait_ready(ep);
            }
        }
        fake_running = NULL;
    }

    return count;
}

int vmp_iface_event_fd(const vmp_iface_t *iface)
{
    return fake_core.event_fd;
}

vmp_status_t vmp_iface_event_arm(vmp_iface_t *iface, unsigned events)
{
    fake_core.armed = events;
    if (((events & VMP_PORT_EVENT_TX) && (iface->comps != NULL)) ||
        ((events & VMP_PORT_EVENT_RX) && (iface->msgs != NULL))) {
        return VMP_ERR_BUSY;
    }

    return fake_core.arm_status;
}

vmp_status_t vmp_iface_flush(vmp_iface_t *iface)
{
    return (iface->comps == NULL) ? VMP_OK : VMP_INPROGRESS;
}

vmp_status_t vmp_iface_fence(vmp_iface_t *iface)
{
    return VMP_OK;
}

void vmp_rx_release(vmp_rx_t *rx)
{
    --fake_core.num_kept;
    free(rx);
}

void *vmp_rx_priv(vmp_rx_t *rx)
{
    return rx->bytes;
}

vmp_rx_t *vmp_rx_from_priv(void *priv)
{
    return (vmp_rx_t*)((char*)priv - offsetof(vmp_rx_t, bytes));
}


/* Endpoints ---------------------------------------------------------------- */

vmp_status_t vmp_ep_create(vmp_iface_t *iface, const vmp_rail_addr_t *rail,
                           const vmp_iface_addr_t *addr, vmp_ep_t *ep)
{
    ep->conn          = calloc(1, sizeof(*ep->conn));
    ep->conn->iface   = iface;
    ep->conn->peer_id = addr->id;
    fake_core.ep_rail = *rail;
    return VMP_OK;
}

void vmp_ep_destroy(vmp_ep_t *ep)
{
    vmp_ep_cancel_wait(ep);
    free(ep->conn);
}

static int fake_take_room(vmp_ep_t *ep)
{
    if (fake_core.room == 0) {
        return 0;
    }

    --fake_core.room;
    ++fake_core.num_sends;
    return 1;
}

static void fake_trace(char what)
{
    size_t length = strlen(fake_core.trace);

    if (length < sizeof(fake_core.trace) - 1) {
        fake_core.trace[length]     = what;
        fake_core.trace[length + 1] = '\0';
    }
}

static void fake_send(vmp_ep_t *ep, fake_msg_t *msg)
{
    vmp_iface_t *iface = fake_ifaces;
    fake_msg_t **link;

    while ((iface != NULL) && (iface->id != ep->conn->peer_id)) {
        iface = iface->next;
    }

    if (iface == NULL) {
        free(msg);
        return;
    }

    link = &iface->msgs;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = msg;
}

static fake_msg_t *fake_new_msg(uint8_t am_id, size_t max)
{
    fake_msg_t *msg = calloc(1, sizeof(*msg) + max);

    msg->am_id = am_id;
    return msg;
}

static void fake_append(fake_msg_t *msg, const void *data, size_t length)
{
    if (length > 0) {
        memcpy(msg->data + msg->length, data, length);
    }
    msg->length += length;
}

static void fake_add_comp(vmp_ep_t *ep, void *comp, void (*unpack)(void),
                          void *unpack_arg, const void *data, size_t length)
{
    fake_comp_t *elem = calloc(1, sizeof(*elem));

    elem->comp            = comp;
    elem->unpack          = unpack;
    elem->unpack_arg      = unpack_arg;
    elem->data            = data;
    elem->length          = length;
    elem->next            = ep->conn->iface->comps;
    ep->conn->iface->comps = elem;
}

static void fake_check_rkey(const vmp_rkey_t *rkey)
{
    if ((rkey->num_devs != 1) || (!fake_core_has_key(rkey->key[0]))) {
        abort();
    }
}

vmp_status_t vmp_ep_am_short(vmp_ep_t *ep, uint8_t am_id, uint64_t header,
                             const void *payload, size_t length)
{
    fake_msg_t *msg;

    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    fake_trace((char)header);
    msg = fake_new_msg(am_id, FAKE_MAX_MSG);
    fake_append(msg, &header, sizeof(header));
    fake_append(msg, payload, length);
    fake_send(ep, msg);
    return VMP_OK;
}

vmp_status_t vmp_ep_am_short_iov(vmp_ep_t *ep, uint8_t am_id,
                                 const vmp_iov_t *iov, unsigned iovcnt)
{
    fake_msg_t *msg;
    unsigned i;

    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    msg = fake_new_msg(am_id, FAKE_MAX_MSG);
    for (i = 0; i < iovcnt; ++i) {
        fake_append(msg, iov[i].buffer, iov[i].length);
    }
    fake_send(ep, msg);
    return VMP_OK;
}

ssize_t vmp_ep_am_bcopy(vmp_ep_t *ep, uint8_t am_id, vmp_pack_func_t pack,
                        void *arg)
{
    fake_msg_t *msg;
    size_t length;

    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    msg         = fake_new_msg(am_id, FAKE_MAX_MSG);
    length      = pack(msg->data, arg);
    msg->length = length;
    fake_send(ep, msg);
    return length;
}

vmp_status_t vmp_ep_am_zcopy(vmp_ep_t *ep, uint8_t am_id, const void *header,
                             size_t header_length, const vmp_iov_t *iov,
                             unsigned iovcnt, void *comp)
{
    fake_msg_t *msg;
    unsigned i;

    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    msg = fake_new_msg(am_id, FAKE_MAX_MSG);
    fake_append(msg, header, header_length);
    for (i = 0; i < iovcnt; ++i) {
        if (iov[i].mem->lkey[0] != FAKE_LKEY) {
            abort();
        }
        fake_append(msg, iov[i].buffer, iov[i].length);
    }
    fake_send(ep, msg);
    fake_add_comp(ep, comp, NULL, NULL, NULL, 0);
    return VMP_INPROGRESS;
}

vmp_status_t vmp_ep_put_short(vmp_ep_t *ep, const void *buffer, size_t length,
                              uint64_t remote_addr, const vmp_rkey_t *rkey)
{
    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    fake_check_rkey(rkey);
    memcpy((void*)remote_addr, buffer, length);
    return VMP_OK;
}

ssize_t vmp_ep_put_bcopy(vmp_ep_t *ep, vmp_pack_func_t pack, void *arg,
                         uint64_t remote_addr, const vmp_rkey_t *rkey)
{
    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    fake_check_rkey(rkey);
    return pack((void*)remote_addr, arg);
}

vmp_status_t vmp_ep_put_zcopy(vmp_ep_t *ep, const vmp_iov_t *iov,
                              unsigned iovcnt, uint64_t remote_addr,
                              const vmp_rkey_t *rkey, void *comp)
{
    unsigned i;

    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    fake_check_rkey(rkey);
    for (i = 0; i < iovcnt; ++i) {
        memcpy((void*)remote_addr, iov[i].buffer, iov[i].length);
        remote_addr += iov[i].length;
    }
    fake_add_comp(ep, comp, NULL, NULL, NULL, 0);
    return VMP_INPROGRESS;
}

vmp_status_t vmp_ep_get_bcopy(vmp_ep_t *ep, void (*unpack)(void),
                              void *unpack_arg, size_t length,
                              uint64_t remote_addr, const vmp_rkey_t *rkey,
                              void *comp)
{
    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    fake_check_rkey(rkey);
    fake_add_comp(ep, comp, unpack, unpack_arg, (void*)remote_addr, length);
    return VMP_INPROGRESS;
}

vmp_status_t vmp_ep_get_zcopy(vmp_ep_t *ep, const vmp_iov_t *iov,
                              unsigned iovcnt, uint64_t remote_addr,
                              const vmp_rkey_t *rkey, void *comp)
{
    unsigned i;

    if (!fake_take_room(ep)) {
        return VMP_ERR_NO_RESOURCE;
    }

    fake_check_rkey(rkey);
    for (i = 0; i < iovcnt; ++i) {
        memcpy(iov[i].buffer, (void*)remote_addr, iov[i].length);
        remote_addr += iov[i].length;
    }
    fake_add_comp(ep, comp, NULL, NULL, NULL, 0);
    return VMP_INPROGRESS;
}

vmp_status_t vmp_ep_fence(vmp_ep_t *ep)
{
    fake_trace('|');
    return VMP_OK;
}

vmp_status_t vmp_ep_flush(vmp_ep_t *ep, unsigned flags, void *comp)
{
    fake_core.flush_flags = flags;
    if (ep->conn->iface->comps == NULL) {
        return VMP_OK;
    }

    fake_add_comp(ep, comp, NULL, NULL, NULL, 0);
    return VMP_INPROGRESS;
}

int vmp_ep_is_ready(const vmp_ep_t *ep)
{
    return fake_core.room > 0;
}

void vmp_ep_wait_ready(vmp_ep_t *ep)
{
    vmp_ep_t **link = &ep->conn->iface->waiting;

    if (ep->is_waiting) {
        return;
    }

    while (*link != NULL) {
        link = &(*link)->ready_next;
    }

    *link          = ep;
    ep->ready_next = NULL;
    ep->is_waiting = 1;
}

void vmp_ep_cancel_wait(vmp_ep_t *ep)
{
    vmp_ep_t **link = &ep->conn->iface->waiting;

    if (fake_running == ep) {
        fake_running = NULL; /* as in the core: it waits no more */
    }

    while ((*link != NULL) && (*link != ep)) {
        link = &(*link)->ready_next;
    }

    if (*link == ep) {
        *link = ep->ready_next;
    }
    ep->is_waiting = 0;
}

vmp_status_t vmp_ep_check(vmp_ep_t *ep)
{
    return ep->is_failed ? VMP_ERR_CONNECTION_RESET : VMP_OK;
}

int vmp_ep_is_unread(const vmp_ep_t *ep)
{
    return fake_core.is_unread;
}

void vmp_ep_invalidate(vmp_ep_t *ep)
{
    ep->conn->iface->invalidated = ep;
}

void fake_core_fail(vmp_ep_t *ep, vmp_status_t status)
{
    const vmp_iface_params_t *params = &ep->conn->iface->params;

    ep->is_failed = 1;
    params->ops->ep_failed(params->arg, ep, status);
}
