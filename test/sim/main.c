/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Random programs over the core on the simulated port, judged by an oracle. Two
 * programs: sim_core, and sim_fault with accidents by name.
 *
 *   sim_fault FILE   the program and the accidents that FILE describes
 *
 *   VMP_TEST_SEED    the first seed; "random" for a fresh one [1]
 *   VMP_TEST_ROUNDS  how many programs [10000, with sanitizers 1500]
 *   VMP_TEST_SECONDS go on with the seeds that follow for so long
 *   VMP_SIM_SEED     this program alone
 *   VMP_SIM_TRACE    1: what its applications do and see; 2: every packet, too;
 *                    3: the core's debug log, too
 *   VMP_SIM_STRICT   1: also what is known not to work (expected.c) is an error
 *   VMP_SIM_OFF      leave these acts out, e.g. 3,7-12
 *   VMP_SIM_SHRINK   1: find a short program among those that fail like it. 0:
 *                    sim_fault does not do so when one fails
 */

#include "oracle.h"
#include "driver.h"
#include "shrink.h"
#include "trace.h"

#include "core/vmp_log.h"

#include "port/sim/sim.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Programs after which each known failure and each accident has been seen */
#define MAIN_ROUNDS_EXPECTED  8000

#define MAIN_TWICE            100       /* programs; one of them runs twice */
#define MAIN_HOLES            4096
#define MAIN_HOLE_MAX         2048      /* bytes */
#define MAIN_SECONDS          120       /* of the CPU, for a program */


static program_t main_prog;
static int       main_is_many;


/* How to see it again */
void driver_replay(const program_t *prog)
{
    char list[4096];

    if (driver.is_faulty) {
        printf("VMP_SIM_TRACE=1 ./%s FILE, with these lines in FILE:\n",
               driver.name);
        scenario_print(prog);
        return;
    }

    if (scenario_list(prog, list, sizeof(list))) {
        printf("VMP_SIM_OFF=%s ", list);
    }

    printf("VMP_SIM_TRACE=1 VMP_SIM_SEED=%lu ./%s\n",
           (unsigned long)prog->seed, driver.name);
}

/* Begin anew, with this seed, to find a short one */
static void main_exec_shrink(void)
{
    char seed[32];

    snprintf(seed, sizeof(seed), "%lu", (unsigned long)main_prog.seed);
    setenv("VMP_SIM_SEED", seed, 1);
    setenv("VMP_SIM_SHRINK", "1", 1);
    fflush(stdout);
    execl("/proc/self/exe", driver.name, (char*)NULL);
}

void oracle_fail(const char *rule, const char *fmt, ...)
{
    va_list ap;

    printf("%s: seed %lu: rule \"%s\" is broken at %lu ns: ", driver.name,
           (unsigned long)main_prog.seed, rule, (unsigned long)world_now());
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    if (!shrink_is_child) {
        world_dump();
        printf("replay: ");
        driver_replay(&main_prog);
        if (driver.is_faulty && main_is_many &&
            vmp_check_env("VMP_SIM_SHRINK", 1)) {
            main_exec_shrink();
        }
    }

    fflush(stdout);
    _exit(ORACLE_EXIT);
}

/* The core crashed, or does not come back: at least say where */
static void main_crash(int sig)
{
    char text[160];
    sigset_t mask;
    int len;

    len = snprintf(text, sizeof(text), "\n%s: seed %lu: %s by signal %d\n"
                   "replay: VMP_SIM_TRACE=1 VMP_SIM_SEED=%lu ./%s\n",
                   driver.name, (unsigned long)main_prog.seed,
                   (sig == SIGVTALRM) ? "takes too long, ended" : "crashed",
                   sig, (unsigned long)main_prog.seed, driver.name);
    len = write(STDOUT_FILENO, text, len);
    if ((sig != SIGVTALRM) && driver.is_faulty && main_is_many &&
        !shrink_is_child && vmp_check_env("VMP_SIM_SHRINK", 1)) {
        /* what comes next may crash likewise */
        sigemptyset(&mask);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        main_exec_shrink();
    }

    signal(sig, SIG_DFL);
    raise(sig);
}

/* Its steps are counted by world.c, but not what a single one takes */
static void main_world(void)
{
    struct itimerval timer = {.it_value.tv_sec = MAIN_SECONDS};

    setitimer(ITIMER_VIRTUAL, &timer, NULL);
    world_run(&main_prog);
    program_free(&main_prog);
}

static uint64_t main_first_seed(void)
{
    const char *value = getenv("VMP_TEST_SEED");

    if ((value != NULL) && (strcmp(value, "random") == 0)) {
        return ((uint64_t)time(NULL) << 20) + ((uint64_t)getpid() << 8);
    }

    return vmp_check_env("VMP_TEST_SEED", 1);
}

static int main_one(void)
{
    shrink_parse(&main_prog, getenv("VMP_SIM_OFF"));
    if (vmp_check_env("VMP_SIM_SHRINK", 0)) {
        return (shrink(&main_prog) == 0) ? ORACLE_EXIT : 1;
    }

    if (trace_level > 0) {
        program_print(&main_prog);
    }

    main_world();
    printf("%s: ok, seed %lu%s\n", driver.name, (unsigned long)main_prog.seed,
           (world.num_failed > 0) ?
           ": endpoints failed" : "");
    return 0;
}

/* Digest of what happened: on the network, and in the applications */
static uint64_t main_run(uint64_t seed)
{
    uint64_t hash;

    program_make(&main_prog, seed, driver.is_faulty);
    main_world();
    hash = sim_hash();
    hash = (hash ^ world.stamp) * 0x9e3779b97f4a7c15ull;
    hash = (hash ^ world.steps) * 0x9e3779b97f4a7c15ull;
    return hash ^ world.rnd.state;
}

/* A program has one outcome: also where the heap gives other addresses, in
 * another order. Return 0, or -1 after saying so. */
static int main_again(uint64_t seed, uint64_t want)
{
    static void *holes[MAIN_HOLES];
    uint64_t got;
    unsigned i;
    rnd_t rnd;

    rnd_init(&rnd, seed);
    for (i = 0; i < MAIN_HOLES; ++i) {
        holes[i] = malloc(rnd_log(&rnd, 1, MAIN_HOLE_MAX));
    }

    for (i = 0; i < MAIN_HOLES; i += 2) {
        free(holes[i]);
    }

    got = main_run(seed);
    for (i = 1; i < MAIN_HOLES; i += 2) {
        free(holes[i]);
    }

    if (got == want) {
        return 0;
    }

    printf("%s: seed %lu: rule \"repeat\" is broken at %lu ns: two runs end "
           "with %016lx and %016lx: compare their traces\nreplay: ",
           driver.name, (unsigned long)seed, (unsigned long)world_now(),
           (unsigned long)want, (unsigned long)got);
    program_make(&main_prog, seed, driver.is_faulty);
    driver_replay(&main_prog);
    program_free(&main_prog);
    return -1;
}

static int main_many(uint64_t first, uint64_t rounds)
{
    uint64_t seconds = vmp_check_env("VMP_TEST_SECONDS", 0);
    time_t end       = time(NULL) + seconds;
    uint64_t hash;
    uint64_t i;

    printf("%s: seeds %lu to %lu%s\n", driver.name, (unsigned long)first,
           (unsigned long)(first + rounds - 1),
           (seconds > 0) ? " and further" : "");
    fflush(stdout);
    main_is_many = 1;
    for (i = 0; (i < rounds) || (time(NULL) < end); ++i) {
        hash = main_run(first + i);
        if (((i % MAIN_TWICE) == 0) && (main_again(first + i, hash) != 0)) {
            return ORACLE_EXIT;
        }
    }

    if (driver.is_faulty && (rounds >= MAIN_ROUNDS_EXPECTED) &&
        (getenv("VMP_SIM_ACCIDENTS") == NULL) &&
        ((expected_check() != 0) || (effect_check() != 0))) {
        return ORACLE_EXIT;
    }

    printf("%s: ok, %lu programs\n", driver.name, (unsigned long)i);
    return 0;
}

int main(int argc, char **argv)
{
    const char *sanitizers = getenv("VMP_SANITIZERS");
    uint64_t rounds        = driver.rounds;

    trace_level = vmp_check_env("VMP_SIM_TRACE", 0);
    if (trace_level > 2) {
        vmp_log_max_level = VMP_LOG_DEBUG;
    }

    signal(SIGVTALRM, main_crash);

    /* configure says "no" for none */
    if ((sanitizers != NULL) && (*sanitizers != '\0') &&
        (strcmp(sanitizers, "no") != 0)) {
        rounds = driver.rounds_sanitized;
    } else {
        signal(SIGSEGV, main_crash);
        signal(SIGABRT, main_crash);
        signal(SIGBUS, main_crash);
        signal(SIGFPE, main_crash);
    }

    if (argc > 1) {
        return (scenario_read(&main_prog, argv[1]) == 0) ? main_one() : 2;
    }

    if (getenv("VMP_SIM_SEED") != NULL) {
        program_make(&main_prog, vmp_check_env("VMP_SIM_SEED", 0),
                     driver.is_faulty);
        return main_one();
    }

    return main_many(main_first_seed(),
                     vmp_check_env("VMP_TEST_ROUNDS", rounds));
}
