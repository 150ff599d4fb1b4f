/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "core_world.h"
#include "core/vmp_log.h"

#define WORLD_HDR  8                   /* bytes: stream, sequence */

uint64_t           vmp_check_seed;
node_t             world_nodes[WORLD_MAX_NODES];
unsigned           world_num;
vmp_iface_params_t world_params;
int                world_sleeps;
uint64_t           world_hash;
unsigned           world_rails = 1;

/* Zcopy: the buffer must stay until completion; that of an endpoint which was
 * destroyed, until the end */
typedef struct zcopy {
    comp_t     comp;
    vmp_link_t link;
    vmp_mem_t  mem;
    comp_t     *user;
    size_t     length;
    uint8_t    data[];
} zcopy_t;

static uint32_t    world_next_stream;
static vmp_link_t  world_zcopies;


static void zcopy_free(zcopy_t *zcopy)
{
    vmp_list_del(&zcopy->link);
    vmp_port_mem_dereg(&zcopy->mem);
    memset(zcopy, 0xdd, sizeof(*zcopy));
    free(zcopy);
}

static uint8_t world_byte(uint32_t stream, uint32_t seq, size_t i)
{
    return (uint8_t)((stream * 31) + (seq * 7) + (i * 13));
}

static void world_fill(uint8_t *data, uint32_t stream, uint32_t seq,
                       size_t length)
{
    size_t i;

    VMP_CHECK(length >= WORLD_HDR);
    memcpy(data, &stream, sizeof(stream));
    memcpy(data + 4, &seq, sizeof(seq));
    for (i = WORLD_HDR; i < length; ++i) {
        data[i] = world_byte(stream, seq, i);
    }
}

static int world_am(void *arg, uint8_t am_id, void *data, size_t length,
                    vmp_rx_t *rx)
{
    node_t *node  = arg;
    uint8_t *byte = data;
    uint32_t stream;
    uint32_t seq;
    size_t i;

    VMP_CHECK(length >= WORLD_HDR);
    memcpy(&stream, data, sizeof(stream));
    memcpy(&seq, byte + 4, sizeof(seq));
    VMP_CHECK((stream < WORLD_MAX_STREAMS) && (am_id == (stream & 31)));
    VMP_CHECK(seq == node->next_seq[stream]);
    ++node->next_seq[stream];
    for (i = WORLD_HDR; i < length; ++i) {
        VMP_CHECK(byte[i] == world_byte(stream, seq, i));
    }

    ++node->received;
    if (node->on_am != NULL) {
        node->on_am(node);
    }

    if (rx == NULL) {
        ++node->num_refused;
        return 0;
    }

    if (((sim_random() % 100) >= node->keep_percent) ||
        (node->num_kept == WORLD_MAX_KEPT)) {
        return 0;
    }

    VMP_CHECK(vmp_rx_from_priv(vmp_rx_priv(rx)) == rx);
    VMP_CHECK((uint8_t*)vmp_rx_priv(rx) + world_params.rx_priv +
              world_params.rx_headroom == byte);
    memset(vmp_rx_priv(rx), 0xee,
           world_params.rx_priv + world_params.rx_headroom);
    node->kept[node->num_kept++] = rx;
    return 1;
}

static void world_complete(void *arg, void *ptr, vmp_status_t status)
{
    comp_t *comp = ptr;

    (void)arg;
    ++comp->calls;
    comp->status = status;
    comp->time   = sim_now();
    if (comp->on_call != NULL) {
        comp->on_call(comp);
    }
}

static void world_unpack(void *arg, void (*unpack)(void), void *unpack_arg,
                         const void *data, size_t length)
{
    node_t *node = arg;

    VMP_CHECK(unpack == (void (*)(void))world_unpack);
    memcpy(unpack_arg, data, length);
    node->unpacked += length;
}

static int world_ep_ready(void *arg, vmp_ep_t *ep)
{
    node_t *node     = arg;
    stream_t *stream = (stream_t*)ep;

    ++node->ready_calls;
    ++stream->ready;
    if (stream->on_ready != NULL) {
        stream->on_ready(stream);
    }

    return stream->keep_waiting;
}

static void world_ep_failed(void *arg, vmp_ep_t *ep, vmp_status_t status)
{
    stream_t *stream = (stream_t*)ep;

    (void)arg;
    ++stream->failed;
    stream->status = status;
    if (stream->on_failed != NULL) {
        stream->on_failed(stream);
    }
}

static const vmp_iface_ops_t world_ops = {
    .am        = world_am,
    .complete  = world_complete,
    .unpack    = world_unpack,
    .ep_ready  = world_ep_ready,
    .ep_failed = world_ep_failed
};

void world_begin(const char *name, uint64_t seed)
{
    sim_conf_t conf;

    printf("%s: seed %lu\n", name, (unsigned long)seed);
    fflush(stdout);
    vmp_check_seed = seed;
    sim_conf_init(&conf, seed);
    conf.hosts   = WORLD_HOSTS;
    conf.rails   = world_rails;
    conf.max_sge = 5;
    sim_begin(&conf);
    if (getenv("VMP_TEST_DEBUG") != NULL) {
        vmp_log_max_level  = VMP_LOG_DEBUG;
        sim_conf.trace     = sim_trace_file;
        sim_conf.trace_arg = stdout;
    }

    memset(world_nodes, 0, sizeof(world_nodes));
    world_num         = 0;
    world_next_stream = 0;
    vmp_list_init(&world_zcopies);
    world_params      = (vmp_iface_params_t){
        .port            = {
            .num_rails     = world_rails,
            .sq_depth      = 64,
            .cq_depth      = 1024,
            .srq_depth     = 256,
            .num_ud        = 1,
            .timeout       = 8,
            .retry_count   = 6,
            .min_rnr_timer = 1,
            .max_rd_atomic = 8,
            .max_inline    = 256,
            .max_sge       = 8
        },
        .num_paths       = 4,
        .spread_thresh   = 0,
        .chunk_size      = 1024,
        .path_window     = 16384,
        .seg_size        = 512,
        .rx_window_min   = 16,
        .rx_window_max   = 64,
        .rx_headroom     = 16,
        .rx_priv         = 8,
        .rx_max_bufs     = 1024,
        .tx_max_bufs     = 256,
        .peer_timeout_ns = 2000000000ul,
        .policy          = "rr",
        .ops             = &world_ops
    };
}

vmp_status_t world_try_node(unsigned i)
{
    node_t *node = &world_nodes[i];
    char name[VMP_MAX_RAILS][VMP_PORT_NAME_MAX];
    const char *names[VMP_MAX_RAILS];
    unsigned rail;
    vmp_status_t status;

    VMP_CHECK(i < WORLD_MAX_NODES);
    for (rail = 0; rail < world_rails; ++rail) {
        names[rail] = name[rail];
        snprintf(name[rail], sizeof(name[rail]), "h%ur%u", i % WORLD_HOSTS,
                 rail);
        world_params.port.rails[rail].dev_index = rail;
    }

    VMP_CHECK(vmp_port_md_open(names, world_rails, &node->md) == VMP_OK);
    world_params.arg = node;
    world_num = (i < world_num) ? world_num : i + 1;
    status    = vmp_iface_create(node->md, &world_params, &node->iface);
    if (status == VMP_OK) {
        vmp_iface_query(node->iface, &node->attr);
    } else {
        node->iface = NULL;
    }

    return status;
}

void world_open_node(unsigned i)
{
    VMP_CHECK(world_try_node(i) == VMP_OK);
}

void world_open(unsigned num)
{
    unsigned i;

    for (i = 0; i < num; ++i) {
        world_open_node(i);
    }
}

void world_end(void)
{
    unsigned i;

    for (i = 0; i < world_num; ++i) {
        while (world_nodes[i].num_kept > 0) {
            vmp_rx_release(world_nodes[i].kept[--world_nodes[i].num_kept]);
        }

        if (world_nodes[i].iface != NULL) {
            vmp_iface_destroy(world_nodes[i].iface);
        }
    }

    while (!vmp_list_is_empty(&world_zcopies)) {
        zcopy_free(vmp_container_of(world_zcopies.next, zcopy_t, link));
    }

    for (i = 0; i < world_num; ++i) {
        vmp_port_md_close(world_nodes[i].md);
    }

    world_hash = sim_hash();
    sim_end();
}

void world_wake(void)
{
    unsigned i;

    for (i = 0; i < world_num; ++i) {
        world_nodes[i].is_asleep = 0;
    }
}

/* As UCP has it: progress until there is nothing to do, arm, sleep */
static void node_progress(node_t *node)
{
    if (node->is_asleep && !sim_port_is_signaled(node->iface->port)) {
        return;
    }

    node->wakes    += node->is_asleep;
    node->is_asleep = 0;
    if ((vmp_iface_progress(node->iface) == 0) && world_sleeps) {
        node->is_asleep = vmp_iface_event_arm(node->iface, VMP_PORT_EVENT_TX |
                                              VMP_PORT_EVENT_RX) == VMP_OK;
        node->wakes    += !node->is_asleep;
    }
}

static void world_step_by(uint64_t ns)
{
    node_t *node;
    unsigned i;

    for (i = 0; i < world_num; ++i) {
        node = &world_nodes[i];
        if (node->is_paused || (node->iface == NULL)) {
            continue;
        }

        node_progress(node);
        while ((node->num_kept > 0) && !node->keep_all &&
               ((sim_random() % 8) == 0)) {
            vmp_rx_release(node->kept[--node->num_kept]);
            node->is_asleep = 0;
        }
    }

    sim_step(ns);
}

void world_step_on(void)
{
    world_step_by(WORLD_STEP);
}

void world_step(void)
{
    world_wake();
    world_step_on();
}

void world_run(uint64_t ns)
{
    uint64_t end  = sim_now() + ns;
    uint64_t step = (ns / 1000 > WORLD_STEP) ? ns / 1000 : WORLD_STEP;

    world_wake();
    while (sim_now() < end) {
        world_step_by(step);
    }
}

void stream_open(stream_t *stream, unsigned from, unsigned to)
{
    memset(stream, 0, sizeof(*stream));
    stream->node = &world_nodes[from];
    stream->id   = world_next_stream++;
    VMP_CHECK(stream->id < WORLD_MAX_STREAMS);
    VMP_CHECK(vmp_ep_create(stream->node->iface,
                            &world_nodes[to].attr.rail_addr,
                            &world_nodes[to].attr.addr,
                            &stream->ep) == VMP_OK);
    stream->is_open = 1;
}

void stream_close(stream_t *stream)
{
    vmp_ep_destroy(&stream->ep);
    stream->is_open = 0;
}

void stream_wait_paths(stream_t *stream, unsigned paths)
{
    vmp_conn_t *conn = stream->ep.conn;

    world_until(conn->up_mask != 0, 2000);
    if (paths > 1) {
        /* asks for the others, as the first spread operation does */
        vmp_conn_spread(conn, 1);
        world_until((unsigned)__builtin_popcountll(conn->up_mask) == paths,
                    2000);
    }
}

vmp_port_qp_t *stream_qp(stream_t *stream, unsigned path)
{
    return stream->ep.conn->paths[path]->qp;
}

sim_qp_t *stream_sim(stream_t *stream, unsigned path)
{
    return sim_qp(stream_qp(stream, path));
}

void stream_kill_path(stream_t *stream, unsigned path, vmp_wc_status_t status)
{
    stream_sim(stream, path)->kill = status;
}

typedef struct pack_arg {
    stream_t *stream;
    size_t   length;
} pack_arg_t;

static size_t stream_pack(void *dest, void *ptr)
{
    pack_arg_t *arg = ptr;

    world_fill(dest, arg->stream->id, arg->stream->seq, arg->length);
    return arg->length;
}

void world_spoil_zcopies(void)
{
    vmp_link_t *link;
    zcopy_t *zcopy;

    vmp_list_for_each(link, &world_zcopies) {
        zcopy = vmp_container_of(link, zcopy_t, link);
        memset(zcopy->data, 0xee, zcopy->length);
    }
}

static void zcopy_done(comp_t *comp)
{
    zcopy_t *zcopy = comp->arg;

    if (zcopy->user != NULL) {
        world_complete(NULL, zcopy->user, comp->status);
    }

    zcopy_free(zcopy);
}

static vmp_status_t stream_send_zcopy(stream_t *stream, size_t length,
                                      comp_t *comp)
{
    zcopy_t *zcopy = malloc(sizeof(*zcopy) + length);
    size_t hdr     = WORLD_HDR + (sim_random() % (length - WORLD_HDR + 1));
    size_t part    = (length > hdr) ? sim_random() % (length - hdr) : 0;
    vmp_iov_t iov[2];
    vmp_status_t status;

    VMP_CHECK(zcopy != NULL);
    memset(&zcopy->comp, 0, sizeof(zcopy->comp));
    zcopy->comp.on_call = zcopy_done;
    zcopy->comp.arg     = zcopy;
    zcopy->user         = comp;
    zcopy->length       = length;
    vmp_list_add_tail(&world_zcopies, &zcopy->link);
    world_fill(zcopy->data, stream->id, stream->seq, length);
    vmp_port_mem_reg(stream->node->md, zcopy, sizeof(*zcopy) + length, 0, 0, &zcopy->mem);
    iov[0] = (vmp_iov_t){zcopy->data + hdr, part, &zcopy->mem};
    iov[1] = (vmp_iov_t){zcopy->data + hdr + part, length - hdr - part,
                         &zcopy->mem};
    status = vmp_ep_am_zcopy(&stream->ep, stream->id & 31, zcopy->data, hdr,
                             iov, 2, &zcopy->comp);
    if (status != VMP_INPROGRESS) {
        zcopy_free(zcopy);
    }

    return status;
}

vmp_status_t stream_send(stream_t *stream, send_kind_t kind, size_t length,
                         comp_t *comp)
{
    pack_arg_t arg = {stream, length};
    vmp_status_t status;
    uint8_t data[1024];
    uint64_t header;
    vmp_iov_t iov[2];
    ssize_t ret;

    switch (kind) {
    case SEND_SHORT:
        world_fill(data, stream->id, stream->seq, length);
        memcpy(&header, data, sizeof(header));
        status = vmp_ep_am_short(&stream->ep, stream->id & 31, header, data + 8,
                                 length - 8);
        break;
    case SEND_SHORT_IOV:
        world_fill(data, stream->id, stream->seq, length);
        iov[0] = (vmp_iov_t){data, length / 2, NULL};
        iov[1] = (vmp_iov_t){data + (length / 2), length - (length / 2), NULL};
        status = vmp_ep_am_short_iov(&stream->ep, stream->id & 31, iov, 2);
        break;
    case SEND_BCOPY:
        ret    = vmp_ep_am_bcopy(&stream->ep, stream->id & 31, stream_pack,
                                 &arg);
        status = (ret < 0) ? (vmp_status_t)ret : VMP_OK;
        break;
    default:
        status = stream_send_zcopy(stream, length, comp);
        break;
    }

    if (status >= 0) {
        ++stream->seq;
    }

    return status;
}

void region_make(region_t *region, unsigned node, size_t size, int seed)
{
    size_t i;

    region->size = size;
    region->data = malloc(size);
    VMP_CHECK(region->data != NULL);
    for (i = 0; i < size; ++i) {
        region->data[i] = (uint8_t)((i * 11) + (i >> 8) + seed);
    }

    VMP_CHECK(vmp_port_mem_reg(world_nodes[node].md, region->data, size,
                               VMP_MEM_LOCAL_WRITE | VMP_MEM_REMOTE_WRITE |
                               VMP_MEM_REMOTE_READ, 0,
                               &region->mem) == VMP_OK);
    region->rkey.num_devs = world_rails;
    memcpy(region->rkey.key, region->mem.rkey, sizeof(region->rkey.key));
}

void region_free(region_t *region)
{
    vmp_port_mem_dereg(&region->mem);
    free(region->data);
}
