/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Random programs over the core on the simulated port, judged by an oracle.
 *
 *   VMP_TEST_SEED    the first seed; "random" for a fresh one [1]
 *   VMP_TEST_ROUNDS  how many programs [10000, with sanitizers 1500]
 *   VMP_SIM_SEED     this program alone
 *   VMP_SIM_TRACE    1: what its applications do and see; 2: every packet, too;
 *                    3: the core's debug log, too
 *   VMP_SIM_OFF      leave these acts out, e.g. 3,7-12
 *   VMP_SIM_SHRINK   1: find a short program among those that fail like it
 */

#include "oracle.h"
#include "shrink.h"
#include "trace.h"

#include "core/vmp_log.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAIN_ROUNDS           10000
#define MAIN_ROUNDS_SANITIZED 1500


static program_t main_prog;


void oracle_fail(const char *rule, const char *fmt, ...)
{
    const char *off = getenv("VMP_SIM_OFF");
    va_list ap;

    printf("sim_core: seed %lu: rule \"%s\" is broken at %lu ns: ",
           (unsigned long)main_prog.seed, rule, (unsigned long)world_now());
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    if (!shrink_is_child) {
        world_dump();
        printf("replay: %s%s%sVMP_SIM_TRACE=1 VMP_SIM_SEED=%lu ./sim_core\n",
               off ? "VMP_SIM_OFF=" : "", off ? off : "", off ? " " : "",
               (unsigned long)main_prog.seed);
    }

    fflush(stdout);
    _exit(ORACLE_EXIT);
}

/* The core crashed: at least say where */
static void main_crash(int sig)
{
    char text[128];
    int len;

    len = snprintf(text, sizeof(text), "\nsim_core: seed %lu: crashed by "
                   "signal %d\nreplay: VMP_SIM_TRACE=1 VMP_SIM_SEED=%lu "
                   "./sim_core\n",
                   (unsigned long)main_prog.seed, sig,
                   (unsigned long)main_prog.seed);
    len = write(STDOUT_FILENO, text, len);
    signal(sig, SIG_DFL);
    raise(sig);
}

static uint64_t main_first_seed(void)
{
    const char *value = getenv("VMP_TEST_SEED");

    if ((value != NULL) && (strcmp(value, "random") == 0)) {
        return ((uint64_t)time(NULL) << 20) + ((uint64_t)getpid() << 8);
    }

    return vmp_check_env("VMP_TEST_SEED", 1);
}

static int main_one(uint64_t seed)
{
    program_make(&main_prog, seed);
    shrink_parse(&main_prog, getenv("VMP_SIM_OFF"));
    if (vmp_check_env("VMP_SIM_SHRINK", 0)) {
        return shrink(&main_prog);
    }

    if (trace_level > 0) {
        program_print(&main_prog);
    }

    world_run(&main_prog);
    program_free(&main_prog);
    printf("sim_core: ok, seed %lu\n", (unsigned long)seed);
    return 0;
}

static void main_many(uint64_t first, uint64_t rounds)
{
    uint64_t i;

    printf("sim_core: seeds %lu to %lu\n", (unsigned long)first,
           (unsigned long)(first + rounds - 1));
    fflush(stdout);
    for (i = 0; i < rounds; ++i) {
        program_make(&main_prog, first + i);
        world_run(&main_prog);
        program_free(&main_prog);
    }

    printf("sim_core: ok, %lu programs\n", (unsigned long)rounds);
}

int main(void)
{
    const char *sanitizers = getenv("VMP_SANITIZERS");
    uint64_t rounds        = MAIN_ROUNDS;

    trace_level = vmp_check_env("VMP_SIM_TRACE", 0);
    if (trace_level > 2) {
        vmp_log_max_level = VMP_LOG_DEBUG;
    }

    /* configure says "no" for none */
    if ((sanitizers != NULL) && (*sanitizers != '\0') &&
        (strcmp(sanitizers, "no") != 0)) {
        rounds = MAIN_ROUNDS_SANITIZED;
    } else {
        signal(SIGSEGV, main_crash);
        signal(SIGABRT, main_crash);
        signal(SIGBUS, main_crash);
        signal(SIGFPE, main_crash);
    }

    if (getenv("VMP_SIM_SEED") != NULL) {
        return main_one(vmp_check_env("VMP_SIM_SEED", 0));
    }

    main_many(main_first_seed(), vmp_check_env("VMP_TEST_ROUNDS", rounds));
    return 0;
}
