/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "vmp_kit.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


kit_t kit = { .name = "kit", .stage = "start", .seed = 1, .num_ranks = 2,
              .seconds = 120 };

static ucp_worker_h open_workers[KIT_MAX_WORKERS];
static unsigned     num_workers;


void die(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s: FAIL: rank %u %s: %s (seed %" PRIu64 ")\n", kit.name,
            kit.rank, kit.stage, text, kit.seed);
    fflush(stderr);
    _exit(1);
}

void say(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printf("%s: rank %u: %s\n", kit.name, kit.rank, text);
    fflush(stdout);
}

void *xalloc(size_t size)
{
    void *ptr = calloc(1, size + 1);

    if (ptr == NULL) {
        die("no memory for %zu bytes", size);
    }
    return ptr;
}

uint64_t kit_number(const char *arg, char option, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t value = strtoull(arg, &end, 0);

    if ((*end != '\0') || (end == arg) || (value < min) || (value > max)) {
        die("-%c takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'",
            option, min, max, arg);
    }
    return value;
}

double kit_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + (ts.tv_nsec * 1e-9);
}

/* stdio is not safe here, but the process is stuck anyway and ends. A timer of
 * its own signal: tests use SIGALRM themselves. */
static void on_time_limit(int signo)
{
    (void)signo;
    die("time limit passed");
}

static void start_time_limit(void)
{
    struct itimerspec spec = { .it_value.tv_sec = kit.seconds };
    struct sigevent event  = { .sigev_notify = SIGEV_SIGNAL,
                               .sigev_signo  = SIGRTMAX };
    timer_t timer;

    signal(SIGRTMAX, on_time_limit);
    if ((timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) ||
        (timer_settime(timer, 0, &spec, NULL) != 0)) {
        die("no timer: %s", strerror(errno));
    }
}

static void usage(const kit_program_t *program)
{
    program->usage();
    printf("  -s SEED   the same for all ranks (1)\n"
           "  -p PORT   TCP port of rank 0 (%s)\n"
           "  -t S      time limit (%u)\n", program->port, kit.seconds);
}

void kit_options(const kit_program_t *program, int argc, char **argv)
{
    char letters[64];
    int c;

    kit.name = program->name;
    kit.port = program->port;
    snprintf(letters, sizeof(letters), "%ss:p:t:h", program->letters);
    while ((c = getopt(argc, argv, letters)) != -1) {
        switch (c) {
        case 's':
            kit.seed = strtoull(optarg, NULL, 0);
            break;
        case 'p':
            kit.port = optarg;
            break;
        case 't':
            kit.seconds = kit_number(optarg, c, 1, 100000);
            break;
        case 'h':
        case '?':
            usage(program);
            exit((c == 'h') ? 0 : 2);
        default:
            program->option(c, optarg);
        }
    }
    if (strchr(program->letters, 'r') == NULL) {
        kit.rank = (optind < argc);
    }
    kit.host = argv[optind];
    start_time_limit();
}

ucp_worker_h kit_worker_open(uint64_t features, ucs_thread_mode_t mode,
                             ucp_context_h *context_p)
{
    ucp_params_t params = {
        .field_mask        = UCP_PARAM_FIELD_FEATURES |
                             UCP_PARAM_FIELD_MT_WORKERS_SHARED,
        .features          = features,
        .mt_workers_shared = (mode == UCS_THREAD_MODE_MULTI)
    };
    ucp_worker_params_t wparams = {
        .field_mask  = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
        .thread_mode = mode
    };
    ucp_config_t *config;
    ucp_worker_h worker;
    ucs_status_t status;

    status = ucp_config_read(NULL, NULL, &config);
    if (status == UCS_OK) {
        status = ucp_init(&params, config, context_p);
        ucp_config_release(config);
    }
    if (status != UCS_OK) {
        die("cannot start UCP: %s", ucs_status_string(status));
    }
    status = ucp_worker_create(*context_p, &wparams, &worker);
    if (status != UCS_OK) {
        die("cannot create a worker: %s", ucs_status_string(status));
    }
    if (num_workers == KIT_MAX_WORKERS) {
        die("too many workers");
    }
    open_workers[num_workers++] = worker;
    return worker;
}

void kit_worker_close(ucp_worker_h worker, ucp_context_h context)
{
    unsigned i;

    for (i = 0; open_workers[i] != worker; ++i) {
    }
    open_workers[i] = open_workers[--num_workers];
    ucp_worker_destroy(worker);
    ucp_cleanup(context);
}

void kit_worker_address(ucp_worker_h worker, kit_blob_t *blob)
{
    ucp_address_t *addr;
    ucs_status_t status;
    size_t size;

    status = ucp_worker_get_address(worker, &addr, &size);
    if ((status != UCS_OK) || (size > sizeof(blob->data))) {
        die("no address of the worker: %s, %zu bytes",
            ucs_status_string(status), size);
    }
    memset(blob, 0, sizeof(*blob));
    blob->size = size;
    memcpy(blob->data, addr, size);
    ucp_worker_release_address(worker, addr);
}

ucp_ep_h kit_ep(ucp_worker_h worker, const kit_blob_t *addr,
                ucp_err_handler_cb_t cb, void *arg)
{
    ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS,
        .address    = (const ucp_address_t*)addr->data
    };
    ucs_status_t status;
    ucp_ep_h ep;

    if (cb != NULL) {
        params.field_mask     |= UCP_EP_PARAM_FIELD_ERR_HANDLER |
                                 UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
        params.err_mode        = UCP_ERR_HANDLING_MODE_PEER;
        params.err_handler.cb  = cb;
        params.err_handler.arg = arg;
    }
    status = ucp_ep_create(worker, &params, &ep);
    if (status != UCS_OK) {
        die("cannot create an endpoint: %s", ucs_status_string(status));
    }
    return ep;
}

unsigned kit_progress(void)
{
    unsigned i, count = 0;

    for (i = 0; i < num_workers; ++i) {
        count += ucp_worker_progress(open_workers[i]);
    }
    return count;
}

ucs_status_t kit_wait(ucs_status_ptr_t request)
{
    ucs_status_t status = UCS_PTR_STATUS(request);

    if (UCS_PTR_IS_PTR(request)) {
        while ((status = ucp_request_check_status(request)) ==
               UCS_INPROGRESS) {
            kit_progress();
        }
        ucp_request_free(request);
    }
    return status;
}

void kit_wait_ok(ucs_status_ptr_t request, const char *what)
{
    ucs_status_t status = kit_wait(request);

    if (status != UCS_OK) {
        die("%s failed: %s", what, ucs_status_string(status));
    }
}

void kit_ep_close(ucp_ep_h ep, int force)
{
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
        .flags        = force ? UCP_EP_CLOSE_FLAG_FORCE : 0
    };
    ucs_status_t status = kit_wait(ucp_ep_close_nbx(ep, &param));

    /* 1.13 says so of endpoints that are torn down with requests on them */
    if ((status != UCS_OK) && !(force && (status == UCS_ERR_CANCELED))) {
        die("closing an endpoint%s failed: %s", force ? " by force" : "",
            ucs_status_string(status));
    }
}

void kit_resources(char *buf, size_t size)
{
    FILE *file = popen("rdma resource show 2>/dev/null", "r");
    size_t len = 0;

    if (file != NULL) {
        len = fread(buf, 1, size - 1, file);
        pclose(file);
    }
    buf[len] = '\0';
}

void kit_resources_check(const char *before)
{
    double end = kit_now() + 10;
    char now[1024];

    do {
        kit_resources(now, sizeof(now));
        if (strcmp(before, now) == 0) {
            return;
        }
        usleep(200000);
    } while (kit_now() < end);
    die("RDMA resources are left over: before '%s' now '%s'", before, now);
}

size_t kit_rss(void)
{
    size_t total = 0, resident = 0;
    FILE *file   = fopen("/proc/self/statm", "r");

    if ((file == NULL) || (fscanf(file, "%zu %zu", &total, &resident) != 2)) {
        die("cannot read /proc/self/statm");
    }
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}
