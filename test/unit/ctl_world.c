/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "ctl_world.h"
#include "core/vmp_log.h"

#include <stdarg.h>
#include <string.h>


#define QUARANTINE  (2 * SEC)
#define SETTLE      MSEC

typedef struct datagram {
    struct datagram *next;                  /**< By time */
    uint64_t        time;
    unsigned        node;
    size_t          length;
    uint8_t         data[VMP_CTL_MAX_LEN];
} datagram_t;

world_t         world;
unsigned        world_num_alarms;
void            (*world_on_log)(vmp_log_level_t level, const char *text);
uint64_t        vmp_check_seed;
vmp_log_level_t vmp_log_max_level = VMP_LOG_TRACE;

static datagram_t *net;
static uint32_t   next_qpn;
static uint32_t   next_ud_qpn;

uint64_t world_rand(uint64_t n)
{
    return vmp_check_random(&world.rng) % n;
}

/* Formatted always, so that sanitizers see the arguments; shown if asked for */
void vmp_log(vmp_log_level_t level, const char *file, unsigned line,
             const char *fmt, ...)
{
    static int max_level = -2;
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    world_num_alarms += (level <= VMP_LOG_WARN);
    if (world_on_log != NULL) {
        world_on_log(level, text);
    }
    if (max_level == -2) {
        max_level = (int)vmp_check_env("VMP_TEST_LOG", 0) - 1;
    }
    if ((int)level <= max_level) {
        fprintf(stderr, "%.6f %s:%u %s\n", world.now / 1e9, file, line, text);
    }
}


/* The fake port */

uint64_t vmp_port_random(vmp_port_t *port)
{
    (void)port;
    return vmp_check_random(&world.rng);
}

vmp_port_qp_t *vmp_port_qp_create(vmp_port_t *port, unsigned rail)
{
    node_t *node = &world.nodes[port->node];
    vmp_port_qp_t *qp;

    VMP_CHECK(rail < node->attr.num_rails);
    if (node->qps_left == 0) {
        return NULL;
    }

    node->qps_left--;
    qp       = calloc(1, sizeof(*qp));
    if (qp == NULL) {
        return NULL; /* see test_ctl_mem.c */
    }

    qp->node = port->node;
    qp->qpn  = next_qpn++;
    world.num_qps++;
    return qp;
}

uint32_t vmp_port_qp_num(const vmp_port_qp_t *qp)
{
    return qp->qpn;
}

int vmp_port_qp_connect(vmp_port_qp_t *qp, const vmp_port_qp_remote_t *remote)
{
    VMP_CHECK(qp->state == QP_INIT);
    VMP_CHECK((remote->entropy > 0) && (remote->entropy <= VMP_FLOW_LABEL_MAX));
    VMP_CHECK((remote->mtu >= 1) && (remote->mtu <= 3));
    if (world.nodes[qp->node].connects_left == 0) {
        return -1;
    }

    world.nodes[qp->node].connects_left--;
    qp->state  = QP_RTS;
    qp->remote = *remote;
    return 0;
}

int vmp_port_qp_error(vmp_port_qp_t *qp)
{
    VMP_CHECK(qp->state != QP_ERR);
    qp->state    = QP_ERR;
    qp->err_time = world.now;
    return 0;
}

uint64_t vmp_port_qp_settle(const vmp_port_qp_t *qp, uint64_t now)
{
    uint64_t end = qp->err_time + SETTLE;

    VMP_CHECK(qp->state == QP_ERR);
    return (now >= end) ? 0 : end - now;
}

int vmp_port_qp_rq_psn(const vmp_port_qp_t *qp, uint32_t *psn_p)
{
    VMP_CHECK(qp->state == QP_ERR);
    VMP_CHECK(world.now >= qp->err_time + SETTLE);  /* R6 */
    *psn_p = qp->qpn & VMP_PSN_MAX;
    return 0;
}

/* Rule R6 */
void vmp_port_qp_destroy(vmp_port_qp_t *qp)
{
    if (!world.is_closing && (qp->state != QP_INIT)) {
        VMP_CHECK(qp->state == QP_ERR);
        VMP_CHECK(world.now - qp->err_time >= QUARANTINE);
        VMP_CHECK(!qp->is_known || qp->is_drained);
    }

    world.num_qps--;
    free(qp);
}

void vmp_port_event_signal(vmp_port_t *port)
{
    (void)port;
}

void vmp_port_rail_addr(vmp_port_t *port, unsigned rail, vmp_rail_addr_t *addr)
{
    VMP_CHECK(rail == 0);
    *addr = world.nodes[port->node].addr;
}

void vmp_port_ctl_forget(vmp_port_t *port, unsigned rail,
                         const vmp_rail_addr_t *dest)
{
    (void)port;
    (void)rail;
    (void)dest;
    world.num_forgotten++;
}

static void net_add(unsigned node, const void *data, size_t length,
                    uint64_t time)
{
    datagram_t *dgram = malloc(sizeof(*dgram));
    datagram_t **prev = &net;

    dgram->time   = time;
    dgram->node   = node;
    dgram->length = length;
    memcpy(dgram->data, data, length);
    while ((*prev != NULL) && ((*prev)->time <= time)) {
        prev = &(*prev)->next;
    }
    dgram->next = *prev;
    *prev       = dgram;
}

int vmp_port_ctl_renew(vmp_port_t *port, unsigned rail, unsigned spare)
{
    VMP_CHECK((rail == 0) && (spare < VMP_PORT_UD_SPARES));
    world.nodes[port->node].spares[spare] = next_ud_qpn++;
    world.num_renewed++;
    return 0;
}

/* Nothing leaves from there */
static int is_dead(unsigned n, unsigned ud)
{
    const node_t *node = &world.nodes[n];
    uint64_t num       = (ud < WORLD_UD) ? node->attr.ud_qpn[0][ud] :
                         node->spares[ud - VMP_MAX_UD];

    num += vmp_check_seed << 32;
    return ((ud < WORLD_UD) && world.is_ud_dead[n][ud]) ||
           ((world.alive_link != 0) &&
            (vmp_check_random(&num) % 4 != world.alive_link - 1));
}

void vmp_port_ctl_send(vmp_port_t *port, unsigned rail, unsigned ud,
                       const vmp_rail_addr_t *dest, uint32_t remote_qpn,
                       const void *data, size_t length)
{
    unsigned to     = dest->gid[15];
    unsigned copies = 1 + (world_rand(1000) < world.dup);
    vmp_ctl_msg_t msg;
    unsigned i;

    VMP_CHECK(rail < world.nodes[port->node].attr.num_rails);
    VMP_CHECK((ud < WORLD_UD) ||
              (world.nodes[port->node].spares[ud - VMP_MAX_UD] != 0));
    VMP_CHECK(length <= VMP_CTL_MAX_LEN);
    VMP_CHECK(vmp_ctl_msg_unpack(data, length, &msg) == 0);
    world.num_sent++;
    world.sent_types[msg.type]++;
    world.sent_reasons[msg.reason]++;
    if (world.tap != NULL) {
        world.tap(port->node, data, length);
    }

    if ((to >= WORLD_NODES) || is_dead(port->node, ud) ||
        (dest->gid[12] != world.nodes[to].addr.gid[12]) ||
        (msg.type == world.lost_type)) {
        return;
    }

    for (i = 0; i < WORLD_UD; i++) {
        if ((world.nodes[to].ctl != NULL) &&
            (world.nodes[to].attr.ud_qpn[0][i] == remote_qpn)) {
            break;
        }
    }
    if (i == WORLD_UD) {
        return;
    }

    for (; copies > 0; copies--) {
        if (world_rand(1000) >= world.loss) {
            net_add(to, data, length,
                    world.now + 10000 + world_rand(world.delay_max));
        }
    }
}


/* The world */

void node_open(unsigned n, uint64_t id)
{
    node_t *node            = &world.nodes[n];
    vmp_ctl_params_t params = {
        .port            = &node->port,
        .attr            = &node->attr,
        .num_paths       = world.num_paths,
        .credits         = 16,
        .frame_size      = 8192,
        .peer_timeout_ns = world.timeout,
        .cmds            = &node->cmds,
        .evs             = &node->evs
    };
    unsigned i;

    memset(node, 0, sizeof(*node));
    node->id                   = (id != 0) ? id : vmp_check_random(&world.rng);
    node->port.node            = n;
    node->qps_left             = UINT32_MAX;
    node->connects_left        = UINT32_MAX;
    node->attr.num_rails       = 1;
    node->attr.num_ud          = WORLD_UD;
    node->attr.path_mtu        = 1 + world_rand(3);
    node->attr.max_rd_atomic   = 1 + world_rand(16);
    node->attr.addr[0].gid[10] = 0xff;
    node->attr.addr[0].gid[11] = 0xff;
    node->attr.addr[0].gid[12] = 10;
    node->attr.addr[0].gid[15] = n;
    node->attr.addr[0].is_roce = 1;
    node->attr.addr[0].mtu     = 3;
    node->addr                 = node->attr.addr[0];
    for (i = 0; i < WORLD_UD; i++) {
        node->attr.ud_qpn[0][i] = next_ud_qpn++;
    }

    params.id = node->id;
    VMP_CHECK(vmp_spsc_init(&node->cmds) == 0);
    VMP_CHECK(vmp_spsc_init(&node->evs) == 0);
    node->ctl = vmp_ctl_create(&params);
    VMP_CHECK(node->ctl != NULL);
    node->deadline = UINT64_MAX;
}

void node_move(unsigned n, int is_said)
{
    node_t *node = &world.nodes[n];

    node->addr.gid[12]++;
    if (is_said) {
        vmp_ctl_rail_event(node->ctl, 0, 1, world.now);
        node->deadline = vmp_ctl_progress(node->ctl, world.now);
    }
}

void node_close(unsigned n)
{
    node_t *node = &world.nodes[n];
    uint32_t slot;

    world.is_closing = 1;
    vmp_ctl_destroy(node->ctl);
    world.is_closing = 0;
    node->ctl        = NULL;
    vmp_spsc_cleanup(&node->cmds);
    vmp_spsc_cleanup(&node->evs);
    for (slot = 0; slot < WORLD_SLOTS; slot++) {
        free(node->conns[slot]);
        node->conns[slot] = NULL;
    }
}

void world_clear_net(void)
{
    datagram_t *dgram;

    while ((dgram = net) != NULL) {
        net = dgram->next;
        free(dgram);
    }
}

void world_init(uint64_t seed)
{
    memset(&world, 0, sizeof(world));
    vmp_check_seed  = seed;
    world.rng       = seed;
    world.now       = 1000 * SEC;
    world.delay_max = 100000;
    world.num_paths = WORLD_PATHS;
    world.timeout   = WORLD_TIMEOUT;
    world.drain_max = 4 * SEC;
    next_qpn        = 100;
    next_ud_qpn     = 1;
}

void world_begin(uint64_t seed)
{
    world_init(seed);
    node_open(0, 10);
    node_open(1, 20);
}

/* It has no timer but the one of vmp_ctl_idle.c, which comes alone */
static void check_idle(unsigned n)
{
    uint64_t next = world.nodes[n].deadline;

    if (next != UINT64_MAX) {
        VMP_CHECK(next - world.now <= 4 * world.timeout);
        world_run(next - world.now);
        VMP_CHECK(world.nodes[n].deadline == next + 4 * world.timeout);
    }
}

void world_check_idle(void)
{
    world_run(3 * SEC);
    check_idle(0);
    check_idle(1);
}

void world_cleanup(void)
{
    unsigned n;

    for (n = 0; n < WORLD_NODES; n++) {
        if (world.nodes[n].ctl != NULL) {
            node_close(n);
        }
    }
    world_clear_net();
    VMP_CHECK(world.num_qps == 0);
}

void world_inject(unsigned n, const void *data, size_t length)
{
    node_t *node = &world.nodes[n];

    vmp_ctl_recv(node->ctl, 0, data, length, world.now);
    node->deadline = vmp_ctl_progress(node->ctl, world.now);
}

/* When a node handles what is due now */
static uint64_t node_time(const node_t *node, uint64_t time)
{
    return (time < node->still_until) ? node->still_until : time;
}

/* The next datagram is due: hand it over, or let it wait for its receiver */
static void net_deliver(void)
{
    datagram_t *dgram = net;
    node_t *node      = &world.nodes[dgram->node];

    net = dgram->next;
    if (node->ctl != NULL) {
        if (node->still_until > world.now) {
            net_add(dgram->node, dgram->data, dgram->length,
                    node->still_until);
        } else {
            world_inject(dgram->node, dgram->data, dgram->length);
        }
    }
    free(dgram);
}

void world_run(uint64_t duration)
{
    uint64_t end = world.now + duration;
    uint64_t next, drain, time;
    unsigned n;

    for (;;) {
        next = (net != NULL) ? net->time : UINT64_MAX;
        for (n = 0; n < WORLD_NODES; n++) {
            if (world.nodes[n].ctl == NULL) {
                continue;
            }
            if (!world.nodes[n].is_lazy) {
                app_poll(n);
                drain = app_drain(n);
                next  = (drain < next) ? drain : next;
            }
            time = node_time(&world.nodes[n], world.nodes[n].deadline);
            next = (time < next) ? time : next;
        }

        if (next > end) {
            world.now = end;
            return;
        }

        world.now = (next > world.now) ? next : world.now;
        if ((net != NULL) && (net->time <= world.now)) {
            net_deliver();
            continue;
        }

        for (n = 0; n < WORLD_NODES; n++) {
            if ((world.nodes[n].ctl != NULL) &&
                (node_time(&world.nodes[n], world.nodes[n].deadline) <=
                 world.now)) {
                world.nodes[n].deadline =
                        vmp_ctl_progress(world.nodes[n].ctl, world.now);
                VMP_CHECK(world.nodes[n].deadline > world.now);
            }
        }
    }
}
