/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "verbs_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>


/** Address vectors have 8 bits for it */
#define VMP_VERBS_MAX_GID_INDEX  255


static int vmp_verbs_gid_is_link_local(const union ibv_gid *gid)
{
    return (gid->raw[0] == 0xfe) && ((gid->raw[1] & 0xc0) == 0x80);
}

static const char *vmp_verbs_gid_type_str(uint32_t type)
{
    switch (type) {
    case IBV_GID_TYPE_ROCE_V2:
        return "RoCEv2";
    case IBV_GID_TYPE_ROCE_V1:
        return "RoCEv1";
    default:
        return "IB";
    }
}

/** Higher is better. An IPv4 GID is routed wherever IP is; a link-local one
 *  needs both hosts on one segment, and v1 is not routed at all. */
static int vmp_verbs_gid_rank(const struct ibv_gid_entry *entry)
{
    if (entry->gid_type == IBV_GID_TYPE_ROCE_V2) {
        if (vmp_gid_is_ipv4(entry->gid.raw)) {
            return 4;
        }
        return vmp_verbs_gid_is_link_local(&entry->gid) ? 2 : 3;
    }
    return 1;
}

/** Describe the GIDs of a port for an error message. */
static void vmp_verbs_gid_describe(const struct ibv_gid_entry *entries,
                                   ssize_t num, uint8_t port_num, char *buf,
                                   size_t size)
{
    char addr[INET6_ADDRSTRLEN];
    size_t used = 0;
    ssize_t i;
    int ret;

    snprintf(buf, size, "none");
    for (i = 0; (i < num) && (used < size); ++i) {
        if (entries[i].port_num != port_num) {
            continue;
        }

        if (inet_ntop(AF_INET6, entries[i].gid.raw, addr, sizeof(addr)) ==
            NULL) {
            addr[0] = '\0';
        }
        ret = snprintf(buf + used, size - used, "%s%u (%s %s)",
                       (used > 0) ? ", " : "", entries[i].gid_index,
                       vmp_verbs_gid_type_str(entries[i].gid_type), addr);
        if (ret < 0) {
            break;
        }
        used += (size_t)ret;
    }
}

static const struct ibv_gid_entry *
vmp_verbs_gid_pick(const struct ibv_gid_entry *entries, ssize_t num,
                   uint8_t port_num, int is_roce, int wanted)
{
    const struct ibv_gid_entry *best = NULL;
    const struct ibv_gid_entry *entry;
    ssize_t i;

    for (i = 0; i < num; ++i) {
        entry = &entries[i];
        if ((entry->port_num != port_num) ||
            (entry->gid_index > VMP_VERBS_MAX_GID_INDEX)) {
            continue;
        }

        if (wanted >= 0) {
            if (entry->gid_index == (uint32_t)wanted) {
                return entry;
            }
        } else if ((best == NULL) ||
                   (is_roce &&
                    (vmp_verbs_gid_rank(entry) > vmp_verbs_gid_rank(best)))) {
            /* Of equals, and on InfiniBand, the first one */
            best = entry;
        }
    }
    return best;
}

vmp_status_t vmp_verbs_gid_select(struct ibv_context *ctx, uint8_t port_num,
                                  const struct ibv_port_attr *attr, int wanted,
                                  const char *name, vmp_log_level_t level,
                                  vmp_verbs_gid_t *gid)
{
    int is_roce = (attr->link_layer == IBV_LINK_LAYER_ETHERNET);
    const struct ibv_gid_entry *entry;
    struct ibv_gid_entry *entries;
    struct ibv_device_attr dev_attr;
    vmp_status_t status;
    char desc[512];
    ssize_t num;
    size_t max;

    /* All GIDs of all ports at once: soft-RoCE has a table of 1024 */
    max = (size_t)((attr->gid_tbl_len > 0) ? attr->gid_tbl_len : 1);
    if (ibv_query_device(ctx, &dev_attr) == 0) {
        max *= dev_attr.phys_port_cnt;
    }

    entries = calloc(max, sizeof(*entries));
    if (entries == NULL) {
        vmp_log_at(level, "%s: no memory for a table of %zu GIDs", name, max);
        return VMP_ERR_NO_MEMORY;
    }

    num = ibv_query_gid_table(ctx, entries, max, 0);
    if (num < 0) {
        vmp_log_at(level, "%s: cannot read the GID table: %s", name,
                   strerror((int)-num));
        status = VMP_ERR_IO_ERROR;
        goto out;
    }

    entry = vmp_verbs_gid_pick(entries, num, port_num, is_roce, wanted);
    if (entry == NULL) {
        vmp_verbs_gid_describe(entries, num, port_num, desc, sizeof(desc));
        if (wanted >= 0) {
            vmp_log_at(level, "%s: there is no GID at index %d (GID_INDEX); "
                       "there are: %s", name, wanted, desc);
            status = VMP_ERR_INVALID_PARAM;
        } else {
            vmp_log_at(level, "%s: the port has no GID: give its network "
                       "interface an IP address", name);
            status = VMP_ERR_NO_DEVICE;
        }
        goto out;
    }

    gid->gid   = entry->gid;
    gid->type  = entry->gid_type;
    gid->index = (int)entry->gid_index;
    status     = VMP_OK;

out:
    free(entries);
    return status;
}

/* Of the kind that it had: peers have such ones, too, and cannot be reached
 * from others */
static int vmp_verbs_gid_is_like(const struct ibv_gid_entry *entry,
                                 const vmp_verbs_rail_t *rail)
{
    union ibv_gid gid;

    memcpy(gid.raw, rail->addr.gid, sizeof(gid.raw));
    return (entry->port_num == rail->port_num) &&
           (entry->gid_index <= VMP_VERBS_MAX_GID_INDEX) &&
           (entry->gid_type == rail->gid_type) &&
           (vmp_gid_is_ipv4(entry->gid.raw) == vmp_gid_is_ipv4(gid.raw)) &&
           (vmp_verbs_gid_is_link_local(&entry->gid) ==
            vmp_verbs_gid_is_link_local(&gid));
}

/* NULL: it has none */
static const struct ibv_gid_entry *
vmp_verbs_gid_find_like(const struct ibv_gid_entry *entries, ssize_t num,
                        const vmp_verbs_rail_t *rail, int wanted)
{
    const struct ibv_gid_entry *found = NULL;
    ssize_t i;

    for (i = 0; i < num; ++i) {
        if (!vmp_verbs_gid_is_like(&entries[i], rail) ||
            ((wanted >= 0) && (entries[i].gid_index != (uint32_t)wanted))) {
            continue;
        }

        if (memcmp(entries[i].gid.raw, rail->addr.gid,
                   sizeof(rail->addr.gid)) == 0) {
            return &entries[i];
        }
        found = (found == NULL) ? &entries[i] : found;
    }
    return found;
}

int vmp_verbs_gid_refresh(const vmp_port_t *port, vmp_verbs_rail_t *rail)
{
    const struct ibv_gid_entry *entry;
    struct ibv_gid_entry *entries;
    struct ibv_port_attr attr;
    union ibv_gid gid;
    int ret = -1;
    ssize_t num;
    size_t max;

    /* Mostly nothing has changed */
    if ((ibv_query_gid(rail->dev->ctx, rail->port_num, rail->gid_index,
                       &gid) == 0) &&
        (memcmp(gid.raw, rail->addr.gid, sizeof(gid.raw)) == 0)) {
        return 0;
    }

    if (ibv_query_port(rail->dev->ctx, rail->port_num, &attr) != 0) {
        return -1;
    }

    max     = (size_t)((attr.gid_tbl_len > 0) ? attr.gid_tbl_len : 1) *
              rail->dev->attr.phys_port_cnt;
    entries = calloc(max, sizeof(*entries));
    if (entries == NULL) {
        return -1;
    }

    num   = ibv_query_gid_table(rail->dev->ctx, entries, max, 0);
    entry = vmp_verbs_gid_find_like(entries, num, rail,
                                    port->params.gid_index);
    if (entry != NULL) {
        /* Address handles have the old one */
        vmp_verbs_ah_forget_all(&rail->ud);
        memcpy(rail->addr.gid, entry->gid.raw, sizeof(rail->addr.gid));
        rail->gid_index = (int)entry->gid_index;
        ret             = 0;
        vmp_info("%s: its GID is at index %d now", rail->name,
                 rail->gid_index);
    }
    free(entries);
    return ret;
}

vmp_status_t vmp_verbs_pkey_find(struct ibv_context *ctx, uint8_t port_num,
                                 const struct ibv_port_attr *attr,
                                 uint16_t pkey, const char *name,
                                 uint16_t *index_p)
{
    int limited = -1;
    uint16_t value;
    __be16 entry;
    unsigned i;

    for (i = 0; i < attr->pkey_tbl_len; ++i) {
        if (ibv_query_pkey(ctx, port_num, (int)i, &entry) != 0) {
            continue;
        }

        value = ntohs(entry);
        if (((value & 0x7fff) == 0) ||
            ((pkey != 0xffff) && ((value ^ pkey) & 0x7fff))) {
            continue;
        }

        if (value & 0x8000) {
            *index_p = (uint16_t)i;
            return VMP_OK;
        }

        if (limited < 0) {
            limited = (int)i;
        }
    }

    /* Limited members reach only full ones: as a last resort, if asked for */
    if ((limited >= 0) && (pkey != 0xffff)) {
        *index_p = (uint16_t)limited;
        return VMP_OK;
    }

    vmp_error("%s: no partition key 0x%x (PKEY) in the port's table of %u; "
              "see /sys/class/infiniband/*/ports/*/pkeys", name, pkey,
              attr->pkey_tbl_len);
    return VMP_ERR_INVALID_PARAM;
}

void vmp_port_rail_addr(vmp_port_t *port, unsigned rail_index,
                        vmp_rail_addr_t *addr)
{
    vmp_verbs_rail_t *rail = &port->rails[rail_index];
    struct ibv_port_attr attr;

    if (port->fork_gen == vmp_verbs_fork_gen) {
        (void)vmp_verbs_gid_refresh(port, rail);
        if (!rail->is_roce &&
            (ibv_query_port(rail->dev->ctx, rail->port_num, &attr) == 0)) {
            rail->addr.lid = attr.lid;
        }
    }
    *addr = rail->addr;
}
