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


/** Events taken in one turn of the helper */
#define VMP_VERBS_EVENTS_MAX  64


/** Tell all started ports on a device about one of its ports (0: all). */
static void vmp_verbs_rail_events(const vmp_verbs_dev_t *dev,
                                  vmp_port_t *ports, int port_num, int is_up)
{
    vmp_port_t *port;
    unsigned i;

    for (port = ports; port != NULL; port = port->next) {
        for (i = 0; i < port->num_rails; ++i) {
            if ((port->rails[i].dev != dev) ||
                ((port_num != 0) && (port->rails[i].port_num != port_num))) {
                continue;
            }

            port->is_touched = 1;
            vmp_ctl_rail_event(port->ctl, i, is_up, vmp_verbs_now());
        }
    }
}

/** GIDs follow the IP addresses of the network interface. */
static void vmp_verbs_gid_change(const vmp_verbs_dev_t *dev, vmp_port_t *ports,
                                 int port_num)
{
    vmp_rail_addr_t old;
    vmp_verbs_rail_t *rail;
    vmp_port_t *port;
    unsigned i;

    for (port = ports; port != NULL; port = port->next) {
        for (i = 0; i < port->num_rails; ++i) {
            rail = &port->rails[i];
            if ((rail->dev != dev) || (rail->port_num != port_num)) {
                continue;
            }

            old = rail->addr;
            if (vmp_verbs_gid_refresh(port, rail) != 0) {
                vmp_warn("%s: the address of the network interface is gone: no "
                         "peer can be reached before it has one again",
                         rail->name);
            } else if (memcmp(old.gid, rail->addr.gid, sizeof(old.gid)) != 0) {
                vmp_warn("%s: the address of the network interface has "
                         "changed: connections follow, but peers that were "
                         "given the old one and are not connected yet cannot "
                         "connect", rail->name);
                port->is_touched = 1;
                vmp_ctl_rail_event(port->ctl, i, 1, vmp_verbs_now());
            }
        }
    }
}

static void vmp_verbs_handle_event(vmp_verbs_dev_t *dev, vmp_port_t *ports,
                                   enum ibv_event_type type, int element)
{
    const char *str = ibv_event_type_str(type);

    switch (type) {
    case IBV_EVENT_PORT_ACTIVE:
        vmp_info("%s:%d: %s", dev->name, element, str);
        vmp_verbs_rail_events(dev, ports, element, 1);
        break;
    case IBV_EVENT_PORT_ERR:
        vmp_info("%s:%d: %s", dev->name, element, str);
        vmp_verbs_rail_events(dev, ports, element, 0);
        break;
    case IBV_EVENT_DEVICE_FATAL:
        vmp_error("%s: %s: the device has failed: see dmesg", dev->name, str);
        vmp_verbs_rail_events(dev, ports, 0, 0);
        break;
    case IBV_EVENT_GID_CHANGE:
        vmp_info("%s:%d: %s", dev->name, element, str);
        vmp_verbs_gid_change(dev, ports, element);
        break;
    case IBV_EVENT_LID_CHANGE:
    case IBV_EVENT_PKEY_CHANGE:
    case IBV_EVENT_SM_CHANGE:
    case IBV_EVENT_CLIENT_REREGISTER:
        vmp_info("%s:%d: %s", dev->name, element, str);
        break;
    case IBV_EVENT_CQ_ERR:
    case IBV_EVENT_SRQ_ERR:
        vmp_error("%s: %s: the queue has overrun or the device failed",
                  dev->name, str);
        break;
    case IBV_EVENT_QP_LAST_WQE_REACHED:
        vmp_debug("%s: QP 0x%x: %s", dev->name, (unsigned)element, str);
        vmp_verbs_qp_last(dev, ports, (uint32_t)element);
        break;
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_PATH_MIG_ERR:
    case IBV_EVENT_COMM_EST:
        /* The completions tell */
        vmp_debug("%s: QP 0x%x: %s", dev->name, (unsigned)element, str);
        break;
    default:
        vmp_debug("%s: %s", dev->name, str);
        break;
    }
}

/** Port or QP number of an event, while it is not acknowledged: until then the
 *  object cannot be destroyed. */
static int vmp_verbs_event_element(const struct ibv_async_event *event)
{
    switch (event->event_type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_COMM_EST:
    case IBV_EVENT_SQ_DRAINED:
    case IBV_EVENT_PATH_MIG:
    case IBV_EVENT_PATH_MIG_ERR:
    case IBV_EVENT_QP_LAST_WQE_REACHED:
        return (int)event->element.qp->qp_num;
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_PORT_ERR:
    case IBV_EVENT_LID_CHANGE:
    case IBV_EVENT_PKEY_CHANGE:
    case IBV_EVENT_SM_CHANGE:
    case IBV_EVENT_CLIENT_REREGISTER:
    case IBV_EVENT_GID_CHANGE:
        return event->element.port_num;
    default:
        return 0;
    }
}

int vmp_verbs_async_events(vmp_verbs_dev_t *dev, vmp_port_t *ports)
{
    struct ibv_async_event event;
    int element;
    unsigned i;

    for (i = 0; i < VMP_VERBS_EVENTS_MAX; ++i) {
        if (ibv_get_async_event(dev->ctx, &event) != 0) {
            if ((errno == EAGAIN) || (errno == EINTR)) {
                return 0;
            }
            vmp_error("%s: cannot read events: %s: the device is gone",
                      dev->name, strerror(errno));
            return -1;
        }

        /* Acknowledge at once: destroying a QP waits for it */
        element = vmp_verbs_event_element(&event);
        ibv_ack_async_event(&event);
        vmp_verbs_handle_event(dev, ports, event.event_type, element);
    }
    return 0;
}
