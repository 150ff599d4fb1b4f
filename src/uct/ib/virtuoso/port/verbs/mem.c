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


static unsigned vmp_verbs_access(unsigned access)
{
    unsigned ibv_access = 0;

    if (access & VMP_MEM_LOCAL_WRITE) {
        ibv_access |= IBV_ACCESS_LOCAL_WRITE;
    }
    if (access & VMP_MEM_REMOTE_READ) {
        ibv_access |= IBV_ACCESS_REMOTE_READ;
    }
    /* Verbs want local write along with these */
    if (access & VMP_MEM_REMOTE_WRITE) {
        ibv_access |= IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_LOCAL_WRITE;
    }
    if (access & VMP_MEM_REMOTE_ATOMIC) {
        ibv_access |= IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_LOCAL_WRITE;
    }
    return ibv_access;
}

vmp_status_t vmp_port_mem_reg(vmp_port_md_t *md, void *address, size_t length,
                              unsigned access, int silent, vmp_mem_t *mem)
{
    unsigned ibv_access = vmp_verbs_access(access);
    vmp_log_level_t level;
    struct ibv_mr *mr;
    unsigned i;
    int err;

    memset(mem, 0, sizeof(*mem));

    /* Nothing to register: no device accesses an empty region, but it has a
     * handle and keys like any other */
    if (length == 0) {
        mem->num_devs = (uint8_t)md->num_devs;
        return VMP_OK;
    }

    for (i = 0; i < md->num_devs; ++i) {
        mr = ibv_reg_mr(md->devs[i].pd, address, length, (int)ibv_access);
        if (mr == NULL) {
            goto err_dereg;
        }
        mem->mr[i]   = mr;
        mem->lkey[i] = mr->lkey;
        mem->rkey[i] = mr->rkey;
    }

    mem->num_devs = (uint8_t)md->num_devs;
    return VMP_OK;

err_dereg:
    err   = errno;
    level = silent ? VMP_LOG_DEBUG : VMP_LOG_ERROR;
    vmp_log_at(level, "%s: cannot register memory at %p, %zu bytes, access "
               "0x%x: %s%s", md->devs[i].name, address, length, ibv_access,
               strerror(err), vmp_verbs_hint(err));
    mem->num_devs = (uint8_t)i;
    (void)vmp_port_mem_dereg(mem);
    return (err == ENOMEM) ? VMP_ERR_NO_MEMORY :
           ((err == EFAULT) || (err == EINVAL)) ? VMP_ERR_INVALID_ADDR :
                                                  VMP_ERR_IO_ERROR;
}

vmp_status_t vmp_port_mem_dereg(vmp_mem_t *mem)
{
    vmp_status_t status = VMP_OK;
    struct ibv_mr *mr;
    unsigned i;
    int ret;

    for (i = 0; i < mem->num_devs; ++i) {
        mr         = mem->mr[i];
        mem->mr[i] = NULL;
        if ((mr == NULL) || !vmp_verbs_is_own_ctx(mr->context)) {
            continue;
        }

        ret = ibv_dereg_mr(mr);
        if (ret != 0) {
            vmp_error("%s: cannot deregister memory (lkey 0x%x): %s%s",
                      ibv_get_device_name(mr->context->device), mem->lkey[i],
                      strerror(ret), vmp_verbs_hint(ret));
            status = VMP_ERR_IO_ERROR;
        }
    }

    memset(mem, 0, sizeof(*mem));
    return status;
}
