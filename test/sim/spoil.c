/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "oracle.h"

#include "core/vmp_conn.h"

#include <string.h>

/*
 * The memory of messages whose endpoints are gone goes as well, as soon as no
 * device reads it any more: when they are complete, or their path is dead and
 * the peer has fenced it off. Who sends such a message again has a copy.
 */


static int is_on(const vmp_path_t *path, const op_t *op)
{
    const vmp_wr_t *wr;
    uint32_t pos;

    if (!inspect_is_of(path->conn, op)) {
        return 0;
    }

    for (pos = path->tail; pos != path->head; ++pos) {
        wr = &path->ring[pos & path->mask];
        if ((wr->kind == VMP_WR_AM) && ((uint32_t)wr->sn == op->sn)) {
            return 1;
        }
    }

    return 0;
}

/* Where it is in flight, or waits to be sent again. 0: nowhere. */
static uint64_t find_path(const inst_t *inst, const op_t *op)
{
    const vmp_conn_t *conn;
    const vmp_path_t *path;
    const vmp_link_t *link;
    unsigned i;

    vmp_list_for_each(link, &inst->iface->replaying) {
        path = vmp_container_of(link, vmp_path_t, draining);
        if (is_on(path, op)) {
            return path->wr_id;
        }
    }

    vmp_list_for_each(link, &inst->iface->all) {
        conn = vmp_container_of(link, vmp_conn_t, all);
        for (i = 0; i < conn->num_paths; ++i) {
            if ((conn->paths[i] != NULL) && is_on(conn->paths[i], op)) {
                return conn->paths[i]->wr_id;
            }
        }
    }

    return 0;
}

void spoil_add(op_t *op, buf_t *buf)
{
    inst_t *inst = op->ep->inst;

    op->orphan      = buf;
    op->orphan_path = find_path(inst, op);
    op->next        = inst->spoiling;
    inst->spoiling  = op;
}

void spoil_look(inst_t *inst)
{
    op_t **op_p = &inst->spoiling;
    op_t *op;

    while ((op = *op_p) != NULL) {
        if ((op->orphan_path != 0) &&
            (find_path(inst, op) == op->orphan_path)) {
            op_p = &op->next;
        } else {
            memset(op->orphan->data, WORLD_SPOILT, op->orphan->size);
            *op_p = op->next;
        }
    }
}
