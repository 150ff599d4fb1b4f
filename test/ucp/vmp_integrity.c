/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * A UCP program for two hosts that checks contents: random mixes of tag and
 * active messages, streams, puts, gets, atomics, flush and fence in both directions at
 * once over several endpoints and workers. ucx_perftest does not look at the
 * data. Addresses are exchanged over TCP, which carries nothing else.
 */

#include "vmp_integrity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_SECONDS 20
#define POLL_MS         500


test_opts_t       opts = {
    .num_ops = 500, .num_eps = 4, .num_workers = 1, .num_contexts = 1,
    .max_size = 1 << 20,
    .window  = 32, .kinds = "taspgx"
};
unsigned          side;
ucp_worker_h      workers[MAX_WORKERS];
test_ep_t         eps[MAX_EPS];
uint64_t          bytes_out, bytes_in, num_checks, num_active;
const char        *stage = "start";

static ucp_context_h contexts[MAX_WORKERS];
static ucp_mem_h     memhs[MAX_EPS];
static int           sock = -1;
static unsigned      time_limit = 120;
static const char    *port      = "13470";
static unsigned      num_sleeps, num_timeouts;
static volatile sig_atomic_t closing;


void die(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "vmp_integrity: FAIL: side %u %s: %s (seed %" PRIu64 ")\n",
            side, stage, text, opts.seed);
    fflush(NULL);       /* with what UCX had to say */
    _exit(1);
}

void *xalloc(size_t size)
{
    void *ptr = malloc(size + 1);

    if (ptr == NULL) {
        die("no memory for %zu bytes", size);
    }
    return ptr;
}

size_t slot_size(void)
{
    return opts.max_size + (3 * SLOT_SLACK);
}

/* A hang is a failure: say how far it came. stdio is not safe here, but the
 * process is stuck anyway and ends. */
static void on_alarm(int signo)
{
    (void)signo;
    ops_print_state();
    die("time limit of %u s passed, %" PRIu64 " under way", time_limit,
        num_active);
}

static void tcp_transfer(void *buf, size_t size, int out)
{
    size_t done = 0;
    ssize_t ret;

    while (done < size) {
        ret = out ? send(sock, (char*)buf + done, size - done, MSG_NOSIGNAL) :
                    recv(sock, (char*)buf + done, size - done, 0);
        if (ret > 0) {
            done += ret;
        } else if ((ret == 0) || (errno != EINTR)) {
            die("the other side closed the TCP connection");
        }
    }
}

static void tcp_send(const void *buf, size_t size)
{
    tcp_transfer((void*)buf, size, 1);
}

static void tcp_recv(void *buf, size_t size)
{
    tcp_transfer(buf, size, 0);
}

/* Blobs of a length that the other side does not know */
static void *tcp_swap(const void *buf, uint32_t size)
{
    uint32_t size_in;
    void *in;

    tcp_send(&size, sizeof(size));
    tcp_send(buf, size);
    tcp_recv(&size_in, sizeof(size_in));
    if (size_in > 65536) {
        die("the other side speaks another protocol");
    }
    in = xalloc(size_in);
    tcp_recv(in, size_in);
    return in;
}

static void tcp_connect(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags    = (host == NULL) ? AI_PASSIVE : 0,
                             .ai_family   = (host == NULL) ? AF_INET :
                                                             AF_UNSPEC};
    struct addrinfo *res, *ai;
    int one = 1, try, ret, lsock;

    ret = getaddrinfo(host, port, &hints, &res);
    if (ret != 0) {
        die("cannot resolve %s: %s", host, gai_strerror(ret));
    }
    if (host == NULL) {
        lsock = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(lsock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if ((bind(lsock, res->ai_addr, res->ai_addrlen) != 0) ||
            (listen(lsock, 1) != 0)) {
            die("cannot listen on port %s: %s", port, strerror(errno));
        }
        sock = accept(lsock, NULL, NULL);
        close(lsock);
    } else {
        for (try = 0; (sock < 0) && (try < (CONNECT_SECONDS * 5)); ++try) {
            for (ai = res; (sock < 0) && (ai != NULL); ai = ai->ai_next) {
                sock = socket(ai->ai_family, SOCK_STREAM, 0);
                if ((sock >= 0) &&
                    (connect(sock, ai->ai_addr, ai->ai_addrlen) != 0)) {
                    close(sock);
                    sock = -1;
                }
            }
            if (sock < 0) {
                usleep(200000);
            }
        }
    }
    freeaddrinfo(res);
    if (sock < 0) {
        die("no TCP connection on port %s: %s", port, strerror(errno));
    }
}

unsigned progress(void)
{
    unsigned i, count = 0;

    for (i = 0; i < opts.num_workers; ++i) {
        count += ucp_worker_progress(workers[i]);
    }
    return count;
}

static void idle(void)
{
    struct pollfd fds[MAX_WORKERS + 1];
    ucs_status_t status;
    unsigned i, count;

    if (!opts.wakeup) {
        return;
    }
    for (i = 0; i < opts.num_workers; ++i) {
        status = ucp_worker_get_efd(workers[i], &fds[i].fd);
        if (status != UCS_OK) {
            die("no event descriptor: %s", ucs_status_string(status));
        }
        fds[i].events = POLLIN;
        status        = ucp_worker_arm(workers[i]);
        if (status == UCS_ERR_BUSY) {
            return;
        } else if (status != UCS_OK) {
            die("cannot arm: %s", ucs_status_string(status));
        }
    }
    fds[i].fd     = sock;
    fds[i].events = POLLIN;
    ++num_sleeps;
    if (poll(fds, i + 1, POLL_MS) != 0) {
        return;
    }

    /* Nobody is woken by what a put of the peer's leaves in memory. But what a
     * worker finds now was there before, and should have woken us, or has come
     * since, and so does its event: RDMA devices and shared memory keep events
     * until the next arming. */
    ++num_timeouts;
    for (i = 0; i < opts.num_workers; ++i) {
        count = ucp_worker_progress(workers[i]);
        if ((count > 0) && (poll(&fds[i], 1, POLL_MS) != 1)) {
            die("worker %u slept %d ms over %u events: a wakeup was lost", i,
                POLL_MS, count);
        }
    }
}

/* Both sides come here; everything makes progress until the other one does */
static void barrier(const char *next_stage)
{
    uint32_t check = vmp_mix(strlen(next_stage)), peer = 0;
    ssize_t ret;

    tcp_send(&check, sizeof(check));
    for (;;) {
        ret = recv(sock, &peer, sizeof(peer), MSG_DONTWAIT | MSG_PEEK);
        if (ret == (ssize_t)sizeof(peer)) {
            break;
        } else if ((ret == 0) || ((ret < 0) && (errno != EAGAIN) &&
                                  (errno != EINTR))) {
            die("the other side has ended");
        }
        if ((ops_advance() + progress()) == 0) {
            idle();
        }
    }
    tcp_recv(&peer, sizeof(peer));
    if (peer != check) {
        die("the other side is elsewhere");
    }
    stage = next_stage;
}

void wait_request(ucs_status_ptr_t request, const char *what)
{
    ucs_status_t status = UCS_PTR_STATUS(request);

    if (UCS_PTR_IS_PTR(request)) {
        while ((status = ucp_request_check_status(request)) ==
               UCS_INPROGRESS) {
            progress();
        }
        ucp_request_free(request);
    }
    if (status != UCS_OK) {
        die("%s failed: %s", what, ucs_status_string(status));
    }
}

static void on_ep_error(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    (void)ep;
    if (!closing) {
        die("endpoint %u failed: %s", ((test_ep_t*)arg)->index,
            ucs_status_string(status));
    }
}

static ucp_context_h context_of(unsigned worker)
{
    return contexts[worker % opts.num_contexts];
}

static void create_workers(void)
{
    ucp_worker_params_t wparams = {
        .field_mask  = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
        .thread_mode = UCS_THREAD_MODE_SINGLE
    };
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES};
    ucp_config_t *config;
    ucs_status_t status;
    unsigned i;

    params.features = UCP_FEATURE_TAG | UCP_FEATURE_AM | UCP_FEATURE_RMA |
                      (strchr(opts.kinds, KIND_ATOMIC) ? UCP_FEATURE_AMO64 :
                                                         0) |
                      (strchr(opts.kinds, KIND_STREAM) ? UCP_FEATURE_STREAM :
                                                         0) |
                      (opts.wakeup ? UCP_FEATURE_WAKEUP : 0);
    for (i = 0; i < opts.num_contexts; ++i) {
        status = ucp_config_read(NULL, NULL, &config);
        if (status == UCS_OK) {
            status = ucp_init(&params, config, &contexts[i]);
            ucp_config_release(config);
        }
        if (status != UCS_OK) {
            die("cannot start UCP: %s", ucs_status_string(status));
        }
    }
    for (i = 0; i < opts.num_workers; ++i) {
        status = ucp_worker_create(context_of(i), &wparams, &workers[i]);
        if (status != UCS_OK) {
            die("cannot create a worker: %s", ucs_status_string(status));
        }
    }
}

/* What the peer may access, in one registration an endpoint */
static void expose_memory(test_ep_t *ep)
{
    size_t slots = PUT_SLOTS * slot_size();
    size_t size  = slots + opts.max_size + 64 + ((PUT_SLOTS + 1) * 8);
    ucp_mem_map_params_t params;
    ucs_status_t status;
    uintptr_t words;

    ep->memory = xalloc(size);
    words      = ((uintptr_t)ep->memory + 7) & ~(uintptr_t)7;
    memset(ep->memory, 0, size);
    ep->local.flags   = words;
    ep->local.counter = words + (PUT_SLOTS * 8);
    ep->local.slots   = words + ((PUT_SLOTS + 1) * 8);
    ep->local.source  = ep->local.slots + slots;
    memset((void*)ep->local.slots, GUARD_BYTE, slots);
    vmp_content_fill((void*)ep->local.source, opts.max_size,
                     vmp_mix(opts.seed + side), 0);

    params.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
                        UCP_MEM_MAP_PARAM_FIELD_LENGTH;
    params.address    = ep->memory;
    params.length     = size;
    status            = ucp_mem_map(context_of(ep->worker), &params,
                                    &memhs[ep->index]);
    if (status != UCS_OK) {
        die("cannot register memory: %s", ucs_status_string(status));
    }
}

static void connect_endpoints(void)
{
    ucp_address_t *local, *remote[MAX_WORKERS];
    ucp_ep_params_t params;
    ucs_status_t status;
    test_ep_t *ep;
    size_t length;
    void *rkey;
    unsigned i;

    for (i = 0; i < opts.num_workers; ++i) {
        status = ucp_worker_get_address(workers[i], &local, &length);
        if (status != UCS_OK) {
            die("cannot get an address: %s", ucs_status_string(status));
        }
        remote[i] = tcp_swap(local, length);
        ucp_worker_release_address(workers[i], local);
    }
    for (i = 0; i < opts.num_eps; ++i) {
        ep         = &eps[i];
        ep->index  = i;
        ep->worker = i % opts.num_workers;
        memset(&params, 0, sizeof(params));
        params.field_mask      = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS |
                                 UCP_EP_PARAM_FIELD_ERR_HANDLER |
                                 UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
        params.address         = remote[ep->worker];
        params.err_mode        = opts.peer_mode ? UCP_ERR_HANDLING_MODE_PEER :
                                                  UCP_ERR_HANDLING_MODE_NONE;
        params.err_handler.cb  = on_ep_error;
        params.err_handler.arg = ep;
        status = ucp_ep_create(workers[ep->worker], &params, &ep->ep);
        if (status != UCS_OK) {
            die("cannot create endpoint %u: %s", i, ucs_status_string(status));
        }
        expose_memory(ep);
        status = ucp_rkey_pack(context_of(ep->worker), memhs[i], &rkey, &length);
        if (status != UCS_OK) {
            die("cannot pack a key: %s", ucs_status_string(status));
        }
        memcpy(&ep->remote, &ep->local, sizeof(ep->local));
        tcp_send(&ep->local, sizeof(ep->local));
        tcp_recv(&ep->remote, sizeof(ep->remote));
        local = tcp_swap(rkey, length);
        ucp_rkey_buffer_release(rkey);
        status = ucp_ep_rkey_unpack(ep->ep, local, &ep->rkey);
        if (status != UCS_OK) {
            die("cannot unpack a key: %s", ucs_status_string(status));
        }
        free(local);
    }
    for (i = 0; i < opts.num_workers; ++i) {
        free(remote[i]);
    }
}

/* A side may always find something to do, but not both */
static void check_sleeps(void)
{
    uint32_t mine = num_sleeps, peer;

    tcp_send(&mine, sizeof(mine));
    tcp_recv(&peer, sizeof(peer));
    if (opts.wakeup && (mine == 0) && (peer == 0)) {
        die("nobody slept: no wakeup was tried");
    }
}

static void cleanup(void)
{
    ucp_request_param_t param = {.op_attr_mask = 0};
    unsigned i;

    for (i = 0; i < opts.num_workers; ++i) {
        wait_request(ucp_worker_flush_nbx(workers[i], &param), "flush");
    }
    barrier("close");
    ops_check_counters();
    closing = 1;
    for (i = 0; i < opts.num_eps; ++i) {
        ucp_rkey_destroy(eps[i].rkey);
        wait_request(ucp_ep_close_nbx(eps[i].ep, &param), "close");
    }
    barrier("end");
    check_sleeps();
    for (i = 0; i < opts.num_eps; ++i) {
        ucp_mem_unmap(context_of(eps[i].worker), memhs[i]);
        free(eps[i].memory);
    }
    for (i = 0; i < opts.num_workers; ++i) {
        ucp_worker_destroy(workers[i]);
    }
    for (i = 0; i < opts.num_contexts; ++i) {
        ucp_cleanup(contexts[i]);
    }
    close(sock);
}

static void usage(void)
{
    printf("usage: vmp_integrity [options]        first, on one host\n"
           "       vmp_integrity [options] HOST   then, on another\n"
           "  -n N      operations an endpoint and side (500)\n"
           "  -e N      endpoints (4)\n"
           "  -w N      workers (1); with one, puts are also fenced\n"
           "  -c N      contexts, of which the workers take turns (1)\n"
           "  -m BYTES  largest size (1048576)\n"
           "  -o N      operations under way (32)\n"
           "  -k KINDS  mix of t(ag) a(ctive message) s(tream) p(ut) g(et)\n"
           "            x (atomic) (taspgx)\n"
           "  -s SEED   replay a run\n"
           "  -E        peer error handling (without atomics)\n"
           "  -W        sleep when idle, and be woken up\n"
           "The first host needs none of these, it takes them from the other; "
           "both take:\n"
           "  -p PORT   TCP port for the exchange of addresses (13470)\n"
           "  -t S      time limit (120)\n");
}

static unsigned number(const char *arg, char option, unsigned max)
{
    char *end;
    unsigned long value = strtoul(arg, &end, 0);

    if ((*end != '\0') || (value < 1) || (value > max)) {
        die("-%c takes a number from 1 to %u, not '%s'", option, max, arg);
    }
    return value;
}

static const char *parse_args(int argc, char **argv)
{
    int c;

    opts.seed = (uint64_t)time(NULL);
    while ((c = getopt(argc, argv, "n:e:w:c:m:o:k:s:p:t:EWh")) != -1) {
        switch (c) {
        case 'n':
            opts.num_ops = number(optarg, c, 1 << 30);
            break;
        case 'e':
            opts.num_eps = number(optarg, c, MAX_EPS);
            break;
        case 'w':
            opts.num_workers = number(optarg, c, MAX_WORKERS);
            break;
        case 'c':
            opts.num_contexts = number(optarg, c, MAX_WORKERS);
            break;
        case 'm':
            opts.max_size = number(optarg, c, 1 << 30);
            break;
        case 'o':
            opts.window = number(optarg, c, 100000);
            break;
        case 'k':
            if ((optarg[0] == '\0') || (strlen(optarg) > 15) ||
                (strspn(optarg, "taspgx") != strlen(optarg))) {
                die("-k takes up to 15 of the letters taspgx");
            }
            strcpy(opts.kinds, optarg);
            break;
        case 's':
            opts.seed = strtoull(optarg, NULL, 0);
            break;
        case 'p':
            port = optarg;
            break;
        case 't':
            time_limit = number(optarg, c, 1000000);
            break;
        case 'E':
            opts.peer_mode = 1;
            break;
        case 'W':
            opts.wakeup = 1;
            break;
        case 'h':
            usage();
            exit(0);
        default:
            usage();
            exit(2);
        }
    }
    if (opts.peer_mode && strchr(opts.kinds, KIND_ATOMIC)) {
        /* UCP 1.18 has no atomics in that mode, whatever the transport */
        *strchr(opts.kinds, KIND_ATOMIC) = KIND_PUT;
    }
    return argv[optind];
}

int main(int argc, char **argv)
{
    const char *host = parse_args(argc, argv);
    struct timespec begin, end;

    side = (host == NULL);
    signal(SIGALRM, on_alarm);
    alarm(time_limit);
    setvbuf(stdout, NULL, _IOLBF, 0);
    tcp_connect(host);
    if (side == 0) {
        tcp_send(&opts, sizeof(opts));
    } else {
        tcp_recv(&opts, sizeof(opts));
    }
    if (opts.num_workers > opts.num_eps) {
        opts.num_workers = opts.num_eps;
    }
    if (opts.num_contexts > opts.num_workers) {
        opts.num_contexts = opts.num_workers;
    }
    if (side == 0) {
        printf("vmp_integrity: %u operations of '%s' on each of %u endpoints, "
               "%u workers, up to %u bytes, seed %" PRIu64 "\n", opts.num_ops,
               opts.kinds, opts.num_eps, opts.num_workers, opts.max_size,
               opts.seed);
    }
    create_workers();
    ops_init();
    connect_endpoints();
    stage = "transfer";
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (!ops_done()) {
        if ((ops_advance() + progress()) == 0) {
            idle();
        }
    }
    barrier("flush");
    clock_gettime(CLOCK_MONOTONIC, &end);
    cleanup();
    if (opts.wakeup) {
        printf("vmp_integrity: slept %u times, %u to the end\n", num_sleeps,
               num_timeouts);
    }
    printf("vmp_integrity: payload out %" PRIu64 " in %" PRIu64 " in %.1f s\n",
           bytes_out, bytes_in, (end.tv_sec - begin.tv_sec) +
           ((end.tv_nsec - begin.tv_nsec) / 1e9));
    printf("vmp_integrity: PASS (%" PRIu64 " checks, seed %" PRIu64 ")\n",
           num_checks, opts.seed);
    return 0;
}
