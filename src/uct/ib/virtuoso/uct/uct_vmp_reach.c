/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/* What is known of peers and of the device without asking the core. */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_iface.h"
#include "uct_vmp_addr.h"

#include <stdio.h>
#include <string.h>


#define UCT_VMP_IB_SUBNET_LEN 8 /* bytes of a GID that name the subnet */


int uct_vmp_iface_can_reach(uct_vmp_iface_t *iface,
                            const uct_device_addr_t *device_addr,
                            const uct_iface_addr_t *iface_addr,
                            vmp_rail_addr_t *rail, char *reason, size_t max)
{
    const vmp_rail_addr_t *own_rail  = &iface->attr.rail_addr;
    const vmp_iface_addr_t *own_addr = &iface->attr.addr;
    const char *text                 = NULL;
    uint8_t ipv4[UCT_VMP_IPV4_LEN];
    vmp_iface_addr_t addr;

    if (uct_vmp_device_addr_unpack(device_addr, rail) != 0) {
        text = "the device address is not one of vmp";
    } else if ((iface_addr != NULL) &&
               (uct_vmp_iface_addr_unpack(iface_addr, &addr, ipv4) != 0)) {
        text = "the interface address is not one of vmp";
    } else if (!!rail->is_roce != !!own_rail->is_roce) {
        text = "one side is RoCE and the other InfiniBand";
    } else if (!rail->is_roce &&
               memcmp(rail->gid, own_rail->gid, UCT_VMP_IB_SUBNET_LEN)) {
        text = "the InfiniBand subnets differ";
    } else if (!uct_vmp_rail_addr_resolve(own_rail,
                                          (iface_addr == NULL) ? NULL : ipv4,
                                          rail)) {
        text = UCT_VMP_OTHER_IP;
    } else if ((iface_addr != NULL) && ((addr.ver_min > own_addr->ver_max) ||
                                        (addr.ver_max < own_addr->ver_min))) {
        text = "the peer's version of vmp is too different";
    }

    if ((text != NULL) && (max > 0)) {
        snprintf(reason, max, "%s", text);
    }

    return text == NULL;
}

static int uct_vmp_read_number(const char *name, const char *file,
                               double *value_p)
{
    char path[256];
    FILE *stream;
    int ret;

    snprintf(path, sizeof(path), "/sys/class/infiniband/%s/device/%s", name,
             file);
    stream = fopen(path, "r");
    if (stream == NULL) {
        return -1;
    }

    ret = fscanf(stream, "%lf", value_p);
    fclose(stream);
    return ((ret == 1) && (*value_p > 0)) ? 0 : -1;
}

double uct_vmp_pci_bandwidth(const char *name)
{
    const double bits = 8;
    double gts, width, encoding;

    if ((uct_vmp_read_number(name, "current_link_speed", &gts) != 0) ||
        (uct_vmp_read_number(name, "current_link_width", &width) != 0)) {
        return 1e15; /* no PCI device: no such limit */
    }

    /* the first two generations send 10 bits a byte */
    encoding = (gts <= 5) ? (8.0 / 10) : (128.0 / 130);
    return gts * 1e9 * width * encoding / bits;
}
