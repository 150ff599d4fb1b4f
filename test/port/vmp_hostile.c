/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Somebody on the network who throws control datagrams at others. It listens on
 * a network interface, collects the control datagrams of vmp that pass, and
 * sends to the QPs that it saw: the same again, to the right or to another one,
 * cut short, with broken bits, and noise. It shares no code with vmp on
 * purpose, and no datagram that it sends is a good forgery: against somebody
 * who reads the traffic and forges it there is no protection.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../common/vmp_content.h"

#define QKEY         0x564d5031u
#define MAGIC        0x564d
#define HEADER_LEN   64
#define MAX_LEN      1024       /* longer than what vmp takes */
#define MAX_DGRAMS   1024
#define MAX_TARGETS  64
#define UD_SEND      0x64
#define ROCE_PORT    4791

enum { TYPE_CONNECT = 1, TYPE_CONNECT_ACK = 2, TYPE_GOODBYE = 8,
       TYPE_REJECT = 9, TYPE_DEAD = 10 };


typedef struct {
    union ibv_gid gid;
    uint32_t      qpn;
    struct ibv_ah *ah;
} target_t;

typedef struct {
    unsigned target;
    unsigned length;
    uint8_t  data[512];
} dgram_t;

typedef enum {
    KIND_REPLAY, KIND_MISDIRECT, KIND_TRUNCATE, KIND_FLIP, KIND_NOISE,
    KIND_NOISE_HEADER, KIND_LAST
} kind_t;

static const char *kind_names[] = { "replayed", "misdirected", "truncated",
                                    "flipped", "noise", "headers with noise" };

static target_t   targets[MAX_TARGETS];
static dgram_t    dgrams[MAX_DGRAMS];
static unsigned   num_targets, num_dgrams, num_seen;
static unsigned   num_thrown[KIND_LAST], num_failed;
static uint64_t   random_state = 1;
static uint8_t    *buffer;
static volatile sig_atomic_t is_ending;

static struct {
    struct ibv_context *ctx;
    struct ibv_pd      *pd;
    struct ibv_cq      *cq;
    struct ibv_qp      *qp;
    struct ibv_mr      *mr;
    int                gid_index;
    union ibv_gid      gid;
} dev;


static void die(const char *fmt, ...)
        __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "vmp_hostile: FAIL: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    exit(1);
}

static uint32_t rnd(uint32_t limit)
{
    random_state = vmp_mix(random_state);
    return (uint32_t)(random_state >> 16) % limit;
}

static void on_end(int signo)
{
    (void)signo;
    is_ending = 1;
}

/* A RoCE v2 GID with an IPv4 address, as vmp chooses */
static void find_gid(void)
{
    struct ibv_gid_entry entry;

    for (dev.gid_index = 0; dev.gid_index < 16; ++dev.gid_index) {
        if ((ibv_query_gid_ex(dev.ctx, 1, dev.gid_index, &entry, 0) == 0) &&
            (entry.gid_type == IBV_GID_TYPE_ROCE_V2) &&
            (entry.gid.raw[0] == 0) && (entry.gid.raw[10] == 0xff)) {
            dev.gid = entry.gid;
            return;
        }
    }
    die("no RoCE v2 GID with an IPv4 address");
}

static void open_device(const char *name)
{
    struct ibv_qp_init_attr init = { .qp_type = IBV_QPT_UD,
                                     .cap     = { .max_send_wr  = 16,
                                                  .max_recv_wr  = 1,
                                                  .max_send_sge = 1,
                                                  .max_recv_sge = 1 } };
    struct ibv_qp_attr attr      = { .qp_state = IBV_QPS_INIT, .port_num = 1,
                                     .qkey     = QKEY };
    struct ibv_device **list     = ibv_get_device_list(NULL);
    unsigned i;

    for (i = 0; (list != NULL) && (list[i] != NULL); ++i) {
        if (strcmp(ibv_get_device_name(list[i]), name) == 0) {
            dev.ctx = ibv_open_device(list[i]);
        }
    }
    if (dev.ctx == NULL) {
        die("cannot open %s", name);
    }
    find_gid();
    buffer       = calloc(1, MAX_LEN);
    dev.pd       = ibv_alloc_pd(dev.ctx);
    dev.cq       = ibv_create_cq(dev.ctx, 16, NULL, NULL, 0);
    dev.mr       = ibv_reg_mr(dev.pd, buffer, MAX_LEN, 0);
    init.send_cq = dev.cq;
    init.recv_cq = dev.cq;
    dev.qp       = ibv_create_qp(dev.pd, &init);
    if ((dev.mr == NULL) || (dev.qp == NULL) ||
        (ibv_modify_qp(dev.qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
                       IBV_QP_PORT | IBV_QP_QKEY) != 0)) {
        die("cannot make a UD QP: %s", strerror(errno));
    }
    attr.qp_state = IBV_QPS_RTR;
    ibv_modify_qp(dev.qp, &attr, IBV_QP_STATE);
    attr.qp_state = IBV_QPS_RTS;
    if (ibv_modify_qp(dev.qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN) != 0) {
        die("cannot make a UD QP ready: %s", strerror(errno));
    }
}

/* The kernel drops all but UD sends: the transfer's packets are many */
static int open_listener(const char *ifname)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 28), /* behind IPv4 and UDP */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UD_SEND, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 65535),
        BPF_STMT(BPF_RET | BPF_K, 0)
    };
    struct sock_fprog filter = { 4, code };
    struct sockaddr_ll addr = { .sll_family   = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ALL),
                                .sll_ifindex  = if_nametoindex(ifname) };
    int sock                = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));

    if ((sock < 0) ||
        (setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
                    sizeof(filter)) != 0) ||
        (bind(sock, (struct sockaddr*)&addr, sizeof(addr)) != 0)) {
        die("cannot listen on %s: %s", ifname, strerror(errno));
    }
    return sock;
}

/* Index of the target, made if it is new; -1: cannot be */
static int find_target(uint32_t ipv4, uint32_t qpn)
{
    struct ibv_ah_attr attr = { .is_global = 1, .port_num = 1,
                                .grh = { .sgid_index = dev.gid_index,
                                         .hop_limit  = 64 } };
    union ibv_gid gid       = { .raw = { [10] = 0xff, [11] = 0xff } };
    unsigned i;

    memcpy(gid.raw + 12, &ipv4, sizeof(ipv4));
    for (i = 0; i < num_targets; ++i) {
        if ((targets[i].qpn == qpn) &&
            (memcmp(&targets[i].gid, &gid, sizeof(gid)) == 0)) {
            return i;
        }
    }
    if (num_targets == MAX_TARGETS) {
        return -1;
    }
    attr.grh.dgid  = gid;
    targets[i].gid = gid;
    targets[i].qpn = qpn;
    targets[i].ah  = ibv_create_ah(dev.pd, &attr);
    if (targets[i].ah == NULL) {
        return -1;
    }
    return num_targets++;
}

/* IPv4, UDP, BTH (12 bytes), DETH (8), payload, CRC (4) */
static void take_packet(const uint8_t *p, size_t length)
{
    size_t ip_len = (p[0] & 15) * 4, payload;
    const uint8_t *udp = p + ip_len, *bth = udp + 8;
    uint32_t dest, qpn;
    dgram_t *dgram;
    int target;
    unsigned i;

    if ((length < 60) || ((p[0] >> 4) != 4) || (p[9] != IPPROTO_UDP) ||
        (((udp[2] << 8) | udp[3]) != ROCE_PORT) || (bth[0] != UD_SEND) ||
        (length < (ip_len + 32 + HEADER_LEN))) {
        return;
    }
    payload = length - ip_len - 8 - 12 - 8 - 4 - ((bth[1] >> 4) & 3);
    /* With padding a datagram of ours that was cut short looks longer */
    if ((payload < HEADER_LEN) || (payload > sizeof(dgram->data)) ||
        (((bth[20] << 8) | bth[21]) != MAGIC)) {
        return;
    }
    ++num_seen;
    for (i = 0; i < num_dgrams; ++i) {
        if ((dgrams[i].length == payload) &&
            (memcmp(dgrams[i].data, bth + 20, payload) == 0)) {
            return;
        }
    }
    memcpy(&dest, p + 16, sizeof(dest));
    qpn    = (bth[5] << 16) | (bth[6] << 8) | bth[7];
    target = find_target(dest, qpn);
    if ((target < 0) || (num_dgrams == MAX_DGRAMS)) {
        return;
    }
    dgram         = &dgrams[num_dgrams++];
    dgram->target = target;
    dgram->length = payload;
    memcpy(dgram->data, bth + 20, payload);
}

static void fill_noise(size_t begin, size_t end)
{
    for (; begin < end; ++begin) {
        buffer[begin] = rnd(256);
    }
}

/* Break something that tells who it is from and for, then anything. Three would
 * be good forgeries, and are left out: what a CONNECT or its answer, should the
 * broken one overtake it, says of the sender's incarnation, and an answer that
 * names who was broken before, mended by the same bit. */
static void flip_bits(unsigned length)
{
    static const uint8_t ids[]   = { 0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
                                     18, 19, 20, 21, 22, 23 };
    static const uint8_t conns[] = { 32, 33, 34, 35, 36, 37, 38, 39, 24, 25, 26,
                                     27, 28, 29, 30, 31 };
    unsigned type  = buffer[3];
    unsigned first = (rnd(2) || (type == TYPE_CONNECT)) ?
                     ids[rnd(sizeof(ids))] :
                     conns[rnd(sizeof(conns) /
                               ((type == TYPE_CONNECT_ACK) ? 2 : 1))];
    unsigned i, byte;

    if ((type == TYPE_GOODBYE) || (type == TYPE_REJECT) ||
        (type == TYPE_DEAD)) {
        first = 8 * (1 + rnd(4));
        fill_noise(first, first + 8);
    } else {
        buffer[first] ^= 1 << rnd(8);
    }
    for (i = rnd(8); i > 0; --i) {
        byte = HEADER_LEN + rnd(length - HEADER_LEN + 1);
        if (byte < length) {
            buffer[byte] ^= 1 << rnd(8);
        }
    }
}

static void send_buffer(const target_t *target, size_t length)
{
    struct ibv_sge sge    = { (uintptr_t)buffer, length, dev.mr->lkey };
    struct ibv_send_wr wr = { .sg_list = &sge, .num_sge = 1,
                              .opcode     = IBV_WR_SEND,
                              .send_flags = IBV_SEND_SIGNALED,
                              .wr.ud      = { target->ah, target->qpn,
                                              QKEY } };
    struct ibv_send_wr *bad;
    struct ibv_wc wc;
    unsigned i;

    if (ibv_post_send(dev.qp, &wr, &bad) != 0) {
        ++num_failed;
        return;
    }
    for (i = 0; (i < 1000) && (ibv_poll_cq(dev.cq, 1, &wc) == 0); ++i) {
        usleep(100);
    }
    num_failed += (i == 1000) || (wc.status != IBV_WC_SUCCESS);
}

static void throw_one(void)
{
    /* Some of the newest, whose connections are alive */
    unsigned newest      = (num_dgrams > 64) ? 64 : num_dgrams;
    const dgram_t *dgram = &dgrams[rnd(2) ? rnd(num_dgrams) :
                                            (num_dgrams - 1 - rnd(newest))];
    unsigned target      = dgram->target;
    unsigned length      = dgram->length;
    kind_t kind          = rnd(KIND_LAST);

    memcpy(buffer, dgram->data, dgram->length);
    switch (kind) {
    case KIND_MISDIRECT:
        target = rnd(num_targets);
        break;
    case KIND_TRUNCATE:
        length = rnd(length);
        break;
    case KIND_FLIP:
        flip_bits(length);
        break;
    case KIND_NOISE:
        length = rnd(MAX_LEN + 1);
        fill_noise(0, length);
        break;
    case KIND_NOISE_HEADER:
        /* Right in magic and version, else of nobody */
        length = HEADER_LEN + rnd(MAX_LEN - HEADER_LEN);
        fill_noise(3, length);
        buffer[3] = 1 + rnd(12);
        buffer[4] = rnd(2);
        buffer[6] = length >> 8;
        buffer[7] = length & 0xff;
        if (rnd(2)) {
            memcpy(buffer + 16, dgram->data + 16, 8); /* but for the right one */
        }
        break;
    default:
        break;
    }
    ++num_thrown[kind];
    send_buffer(&targets[target], length);
}

int main(int argc, char **argv)
{
    static uint8_t packet[16384];
    const char *ifname = "eth0", *device = "rxe0";
    unsigned seconds   = 60, rate = 300, i;
    struct pollfd fd   = { .events = POLLIN };
    time_t end;
    ssize_t length;
    int c;

    while ((c = getopt(argc, argv, "i:d:t:r:s:")) != -1) {
        switch (c) {
        case 'i':
            ifname = optarg;
            break;
        case 'd':
            device = optarg;
            break;
        case 't':
            seconds = atoi(optarg);
            break;
        case 'r':
            rate = atoi(optarg);
            break;
        case 's':
            random_state = strtoull(optarg, NULL, 0);
            break;
        default:
            printf("usage: vmp_hostile [-i INTERFACE] [-d DEVICE] [-t SECONDS] "
                   "[-r DATAGRAMS_A_SECOND] [-s SEED]\n");
            return 2;
        }
    }
    if ((rate < 1) || (rate > 100000)) {
        die("-r takes 1 to 100000");
    }
    printf("vmp_hostile: seed %lu\n", (unsigned long)random_state);
    signal(SIGTERM, on_end);
    open_device(device);
    fd.fd = open_listener(ifname);
    end   = time(NULL) + seconds;
    printf("vmp_hostile: listening\n");
    fflush(stdout);
    while (!is_ending && (time(NULL) < end)) {
        /* Listen for the time between two datagrams */
        if (poll(&fd, 1, (1000 + rate - 1) / rate) > 0) {
            length = recv(fd.fd, packet, sizeof(packet), MSG_DONTWAIT);
            if (length > 0) {
                take_packet(packet, length);
            }
        }
        if (num_dgrams > 0) {
            throw_one();
        }
    }
    printf("vmp_hostile: saw %u datagrams, %u different, to %u QPs\n", num_seen,
           num_dgrams, num_targets);
    for (i = 0; i < KIND_LAST; ++i) {
        printf("vmp_hostile: %s: %u\n", kind_names[i], num_thrown[i]);
    }
    if ((num_dgrams == 0) || (num_failed > 100)) {
        die("%u sends failed", num_failed);
    }
    for (i = 0; i < KIND_LAST; ++i) {
        if (num_thrown[i] == 0) {
            die("nothing was thrown of kind '%s'", kind_names[i]);
        }
    }
    printf("vmp_hostile: PASS\n");
    return 0;
}
