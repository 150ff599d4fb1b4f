/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "verbs_port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>


#define VMP_VERBS_SYSFS  "/sys/class/infiniband"


/** All MDs of this process, to tell its contexts from inherited ones. */
static pthread_mutex_t vmp_verbs_md_lock = PTHREAD_MUTEX_INITIALIZER;
static vmp_port_md_t   *vmp_verbs_mds    = NULL;


void vmp_verbs_devices_forked(void)
{
    /* Another thread may have held it at the fork */
    (void)pthread_mutex_init(&vmp_verbs_md_lock, NULL);
}

/** Whether the kernel knows of any device. libibverbs would write warnings of
 *  its own where there is none. */
static int vmp_verbs_has_devices(void)
{
    struct dirent *entry;
    int found = 0;
    DIR *dir;

    dir = opendir(VMP_VERBS_SYSFS);
    if (dir == NULL) {
        return 0;
    }

    while (!found && ((entry = readdir(dir)) != NULL)) {
        found = (entry->d_name[0] != '.');
    }
    closedir(dir);
    return found;
}

uint64_t vmp_verbs_port_speed(const struct ibv_port_attr *attr)
{
    uint64_t lane, width;

    /* Mbit/s of one lane after its line coding */
    switch (attr->active_speed) {
    case 1:
        lane = 2000;
        break;
    case 2:
        lane = 4000;
        break;
    case 4:
        lane = 8000;
        break;
    case 8:
        lane = 10000;
        break;
    case 16:
        lane = 13636;
        break;
    case 32:
        lane = 25000;
        break;
    case 64:
        lane = 50000;
        break;
    case 128:
        lane = 100000;
        break;
    default:
        lane = 2000;
        break;
    }

    switch (attr->active_width) {
    case 2:
        width = 4;
        break;
    case 4:
        width = 8;
        break;
    case 8:
        width = 12;
        break;
    case 16:
        width = 2;
        break;
    default:
        width = 1;
        break;
    }

    return lane * width * 125000;
}

/** Fill in one device and port. Return -1: not usable. */
static int vmp_verbs_probe_port(struct ibv_context *ctx, uint8_t port_num,
                                vmp_port_dev_t *dev)
{
    char name[VMP_PORT_NAME_MAX + 8];
    struct ibv_port_attr attr;
    char path[PATH_MAX];
    char link[PATH_MAX];
    vmp_verbs_gid_t gid;

    snprintf(name, sizeof(name), "%s:%u", ibv_get_device_name(ctx->device),
             port_num);

    if (ibv_query_port(ctx, port_num, &attr) != 0) {
        vmp_debug("%s: cannot query the port: %s", name, strerror(errno));
        return -1;
    }

    if (attr.state != IBV_PORT_ACTIVE) {
        vmp_debug("%s: port is %s", name, ibv_port_state_str(attr.state));
        return -1;
    }

    if ((attr.link_layer != IBV_LINK_LAYER_ETHERNET) && (attr.lid == 0)) {
        vmp_debug("%s: port has no LID", name);
        return -1;
    }

    if (vmp_verbs_gid_select(ctx, port_num, &attr, -1, name, VMP_LOG_DEBUG,
                             &gid) != VMP_OK) {
        return -1;
    }

    memset(dev, 0, sizeof(*dev));
    strncpy(dev->name, ibv_get_device_name(ctx->device),
            sizeof(dev->name) - 1);
    dev->port_num = port_num;
    dev->is_roce  = (attr.link_layer == IBV_LINK_LAYER_ETHERNET);
    dev->mtu      = (uint8_t)attr.active_mtu;
    dev->speed    = vmp_verbs_port_speed(&attr);

    /* A soft device has none */
    snprintf(link, sizeof(link), VMP_VERBS_SYSFS "/%s/device", dev->name);
    if ((realpath(link, path) != NULL) &&
        (strlen(path) < sizeof(dev->sysfs_path))) {
        strcpy(dev->sysfs_path, path);
    }
    return 0;
}

static vmp_status_t vmp_verbs_query_device(struct ibv_device *ibdev,
                                           vmp_port_dev_t **devs_p,
                                           unsigned *num_p)
{
    const char *name    = ibv_get_device_name(ibdev);
    vmp_status_t status = VMP_OK;
    struct ibv_device_attr attr;
    struct ibv_context *ctx;
    vmp_port_dev_t dev, *devs;
    unsigned port_num;
    int is_probed = 0;

    /* InfiniBand and RoCE; iWARP and others have no UD or no GIDs */
    if ((ibdev->transport_type != IBV_TRANSPORT_IB) ||
        (strlen(name) >= VMP_PORT_NAME_MAX)) {
        return VMP_OK;
    }

    ctx = ibv_open_device(ibdev);
    if (ctx == NULL) {
        vmp_debug("%s: cannot open: %s", name, strerror(errno));
        return VMP_OK;
    }

    if (ibv_query_device(ctx, &attr) != 0) {
        vmp_debug("%s: cannot query: %s", name, strerror(errno));
        goto out;
    }

    for (port_num = 1; port_num <= attr.phys_port_cnt; ++port_num) {
        if (vmp_verbs_probe_port(ctx, (uint8_t)port_num, &dev) != 0) {
            continue;
        }

        if (!is_probed) {
            if (vmp_verbs_probe(ctx, name) != 0) {
                break;
            }
            is_probed = 1;
        }

        devs = realloc(*devs_p, (*num_p + 1) * sizeof(*devs));
        if (devs == NULL) {
            vmp_error("no memory for the list of devices");
            status = VMP_ERR_NO_MEMORY;
            break;
        }
        devs[(*num_p)++] = dev;
        *devs_p          = devs;
    }

out:
    ibv_close_device(ctx);
    return status;
}

vmp_status_t vmp_port_query_devices(vmp_port_dev_t **devs_p, unsigned *num_p)
{
    vmp_status_t status = VMP_OK;
    struct ibv_device **list;
    int i, num;

    *devs_p = NULL;
    *num_p  = 0;

    if (!vmp_verbs_has_devices()) {
        return VMP_OK;
    }

    vmp_verbs_init_once();
    list = ibv_get_device_list(&num);
    if (list == NULL) {
        vmp_debug("no list of devices: %s", strerror(errno));
        return VMP_OK;
    }

    for (i = 0; (i < num) && (status == VMP_OK); ++i) {
        status = vmp_verbs_query_device(list[i], devs_p, num_p);
    }

    ibv_free_device_list(list);
    if (status != VMP_OK) {
        free(*devs_p);
        *devs_p = NULL;
        *num_p  = 0;
    }
    return status;
}

static vmp_status_t vmp_verbs_dev_open(struct ibv_device **list, int num,
                                       const char *name, vmp_verbs_dev_t *dev)
{
    int i, flags;

    for (i = 0; i < num; ++i) {
        if (strcmp(ibv_get_device_name(list[i]), name) == 0) {
            break;
        }
    }

    if ((i == num) || (strlen(name) >= sizeof(dev->name))) {
        vmp_error("%s: no such RDMA device; ibv_devices lists what there is",
                  name);
        return VMP_ERR_NO_DEVICE;
    }

    strcpy(dev->name, name);
    dev->ctx = ibv_open_device(list[i]);
    if (dev->ctx == NULL) {
        vmp_error("%s: cannot open: %s%s", name, strerror(errno),
                  vmp_verbs_hint(errno));
        return VMP_ERR_IO_ERROR;
    }

    if (ibv_query_device(dev->ctx, &dev->attr) != 0) {
        vmp_error("%s: cannot query: %s%s", name, strerror(errno),
                  vmp_verbs_hint(errno));
        goto err_close;
    }

    /* The helper reads events until there are no more */
    flags = fcntl(dev->ctx->async_fd, F_GETFL);
    if ((flags == -1) ||
        (fcntl(dev->ctx->async_fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
        vmp_error("%s: cannot make the event channel non-blocking: %s", name,
                  strerror(errno));
        goto err_close;
    }

    dev->pd = ibv_alloc_pd(dev->ctx);
    if (dev->pd == NULL) {
        vmp_error("%s: cannot make a protection domain: %s%s", name,
                  strerror(errno), vmp_verbs_hint(errno));
        goto err_close;
    }
    return VMP_OK;

err_close:
    ibv_close_device(dev->ctx);
    return VMP_ERR_IO_ERROR;
}

static void vmp_verbs_dev_close(vmp_verbs_dev_t *dev)
{
    int ret;

    ret = ibv_dealloc_pd(dev->pd);
    if (ret != 0) {
        vmp_warn("%s: cannot free the protection domain: %s (memory still "
                 "registered?)", dev->name, strerror(ret));
    }

    if (ibv_close_device(dev->ctx) != 0) {
        vmp_warn("%s: cannot close: %s", dev->name, strerror(errno));
    }
}

static int vmp_verbs_dev_has_odp(const vmp_verbs_dev_t *dev)
{
    struct ibv_device_attr_ex attr;

    memset(&attr, 0, sizeof(attr));
    return (ibv_query_device_ex(dev->ctx, NULL, &attr) == 0) &&
           (attr.odp_caps.general_caps & IBV_ODP_SUPPORT);
}

vmp_status_t vmp_port_md_open(const char *const *names, unsigned num,
                              vmp_port_md_t **md_p)
{
    struct ibv_device **list;
    vmp_status_t status;
    vmp_port_md_t *md;
    int num_ibdevs;

    if ((num == 0) || (num > VMP_MAX_RAILS)) {
        vmp_error("cannot open %u devices as one: 1 to %d are possible", num,
                  VMP_MAX_RAILS);
        return VMP_ERR_INVALID_PARAM;
    }

    if (!vmp_verbs_has_devices()) {
        vmp_error("%s: no such RDMA device: this machine has none (no entry in "
                  VMP_VERBS_SYSFS ")", names[0]);
        return VMP_ERR_NO_DEVICE;
    }

    vmp_verbs_init_once();
    list = ibv_get_device_list(&num_ibdevs);
    if (list == NULL) {
        vmp_error("%s: cannot list RDMA devices: %s%s", names[0],
                  strerror(errno), vmp_verbs_hint(errno));
        return VMP_ERR_NO_DEVICE;
    }

    md = calloc(1, sizeof(*md));
    if (md == NULL) {
        vmp_error("%s: no memory to open the device", names[0]);
        status = VMP_ERR_NO_MEMORY;
        goto out;
    }

    md->fork_gen = vmp_verbs_fork_gen;
    md->has_odp  = 1;
    while (md->num_devs < num) {
        status = vmp_verbs_dev_open(list, num_ibdevs, names[md->num_devs],
                                    &md->devs[md->num_devs]);
        if (status != VMP_OK) {
            goto err_close;
        }

        md->has_odp = md->has_odp &&
                      vmp_verbs_dev_has_odp(&md->devs[md->num_devs]);
        ++md->num_devs;
    }

    pthread_mutex_lock(&vmp_verbs_md_lock);
    md->next      = vmp_verbs_mds;
    vmp_verbs_mds = md;
    pthread_mutex_unlock(&vmp_verbs_md_lock);

    *md_p  = md;
    status = VMP_OK;
    goto out;

err_close:
    while (md->num_devs > 0) {
        vmp_verbs_dev_close(&md->devs[--md->num_devs]);
    }
    free(md);
out:
    ibv_free_device_list(list);
    return status;
}

void vmp_port_md_close(vmp_port_md_t *md)
{
    vmp_port_md_t **prev;

    pthread_mutex_lock(&vmp_verbs_md_lock);
    for (prev = &vmp_verbs_mds; *prev != NULL; prev = &(*prev)->next) {
        if (*prev == md) {
            *prev = md->next;
            break;
        }
    }
    pthread_mutex_unlock(&vmp_verbs_md_lock);

    if (md->fork_gen != vmp_verbs_fork_gen) {
        return; /* the parent's: even the memory may be in the device's use */
    }

    while (md->num_devs > 0) {
        vmp_verbs_dev_close(&md->devs[--md->num_devs]);
    }
    free(md);
}

void vmp_port_md_query(const vmp_port_md_t *md, vmp_port_md_attr_t *attr)
{
    unsigned i;

    attr->max_mr_size = UINT64_MAX;
    attr->num_devs    = md->num_devs;
    attr->has_odp     = md->has_odp;
    for (i = 0; i < md->num_devs; ++i) {
        if (md->devs[i].attr.max_mr_size < attr->max_mr_size) {
            attr->max_mr_size = md->devs[i].attr.max_mr_size;
        }
    }
}

int vmp_verbs_is_own_ctx(const struct ibv_context *ctx)
{
    const vmp_port_md_t *md;
    int found = 0;
    unsigned i;

    if (vmp_verbs_fork_gen == 0) {
        return 1; /* never forked: the normal case */
    }

    pthread_mutex_lock(&vmp_verbs_md_lock);
    for (md = vmp_verbs_mds; md != NULL; md = md->next) {
        for (i = 0; i < md->num_devs; ++i) {
            found |= (md->devs[i].ctx == ctx) &&
                     (md->fork_gen == vmp_verbs_fork_gen);
        }
    }
    pthread_mutex_unlock(&vmp_verbs_md_lock);
    return found;
}
