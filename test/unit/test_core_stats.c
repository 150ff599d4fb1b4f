/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Lines of statistics: each is read back as JSON, and says what happened.
 */

#include "core_world.h"

#include <ctype.h>
#include <inttypes.h>

#define MAX_LINES   64
#define MAX_FIELDS  40
#define MAX_TEXT    48
#define NUM_MSGS    400
#define MSG_SIZE    400


typedef struct field {
    char name[MAX_TEXT];
    char text[MAX_TEXT];                /* without quotes */
    int  is_string;
} field_t;

typedef struct line {
    field_t  fields[MAX_FIELDS];
    unsigned num;
} line_t;

static line_t   lines[MAX_LINES];
static unsigned num_lines;


/* A JSON string without escapes */
static const char *read_string(const char *text, char *out)
{
    size_t length = 0;

    VMP_CHECK(*text == '"');
    for (++text; *text != '"'; ++text) {
        VMP_CHECK(isprint((unsigned char)*text) && (*text != '\\'));
        VMP_CHECK(length < MAX_TEXT - 1);
        out[length++] = *text;
    }
    out[length] = '\0';
    return text + 1;
}

/* A JSON integer */
static const char *read_number(const char *text, char *out)
{
    size_t length = 0;

    if (*text == '-') {
        out[length++] = *text++;
    }
    VMP_CHECK(isdigit((unsigned char)*text));
    VMP_CHECK((*text != '0') || !isdigit((unsigned char)text[1]));
    while (isdigit((unsigned char)*text)) {
        VMP_CHECK(length < MAX_TEXT - 1);
        out[length++] = *text++;
    }
    out[length] = '\0';
    return text;
}

static const char *find(const line_t *line, const char *name)
{
    unsigned i;

    for (i = 0; i < line->num; ++i) {
        if (strcmp(line->fields[i].name, name) == 0) {
            return line->fields[i].text;
        }
    }
    return NULL;
}

static void on_stats(void *arg, const char *text)
{
    line_t *line = &lines[num_lines++];
    field_t *field;

    if (getenv("VMP_TEST_DEBUG") != NULL) {
        puts(text);
    }
    VMP_CHECK(num_lines <= MAX_LINES);
    line->num = 0;
    VMP_CHECK(*text == '{');
    do {
        VMP_CHECK(line->num < MAX_FIELDS);
        field = &line->fields[line->num];
        text  = read_string(text + 1, field->name);
        VMP_CHECK(find(line, field->name) == NULL);
        VMP_CHECK(*text == ':');
        field->is_string = (text[1] == '"');
        text             = field->is_string ?
                           read_string(text + 1, field->text) :
                           read_number(text + 1, field->text);
        ++line->num;
    } while (*text == ',');
    VMP_CHECK(strcmp(text, "}") == 0);
}

static uint64_t number(const line_t *line, const char *name)
{
    const char *text = find(line, name);

    VMP_CHECK(text != NULL);
    return strtoull(text, NULL, 10);
}

static int is_text(const line_t *line, const char *name, const char *text)
{
    const char *is = find(line, name);

    VMP_CHECK(is != NULL);
    return strcmp(is, text) == 0;
}

/* The only line of that type, interface and (if any) path */
static const line_t *get(const char *type, uint64_t iface, int path)
{
    const line_t *found = NULL;
    char id[17], index[8];
    unsigned i;

    snprintf(id, sizeof(id), "%016" PRIx64, iface);
    snprintf(index, sizeof(index), "%d", path);
    for (i = 0; i < num_lines; ++i) {
        if (is_text(&lines[i], "type", type) &&
            is_text(&lines[i], "iface", id) &&
            ((path < 0) || is_text(&lines[i], "path", index))) {
            VMP_CHECK(found == NULL);
            found = &lines[i];
        }
    }
    VMP_CHECK(found != NULL);
    return found;
}

static uint64_t sum_paths(uint64_t iface, const char *name)
{
    uint64_t sum = 0;
    int i;

    for (i = 0; i < 4; ++i) {
        sum += number(get("path", iface, i), name);
    }
    return sum;
}

static void send_some(stream_t *stream, unsigned num, unsigned *sent_p)
{
    unsigned i;

    for (i = 0; i < num; ++i) {
        *sent_p += (stream_send(stream, SEND_BCOPY, MSG_SIZE, NULL) >= 0);
        world_run(sim_random() % 3000);
    }
}

/* What both sides' lines say of one stream */
static void check_lines(const uint64_t *ids, unsigned sent, unsigned deaths)
{
    static const char *names[] = {"tx_frames", "tx_chunks", "tx_bytes",
                                  "rx_frames", "rx_bytes", "downs", "repairs",
                                  "repair_ns"};
    const line_t *conn, *iface;
    char peer[17];
    unsigned i, j;

    VMP_CHECK(num_lines == 2 * (1 + 1 + 4));
    for (i = 0; i < 2; ++i) {
        conn  = get("conn", ids[i], -1);
        iface = get("iface", ids[i], -1);
        snprintf(peer, sizeof(peer), "%016" PRIx64, ids[!i]);
        VMP_CHECK(is_text(conn, "peer", peer));
        VMP_CHECK(is_text(conn, "addr", find(get("iface", ids[!i], -1),
                                             "addr")));
        VMP_CHECK(number(conn, "paths") == 4);
        for (j = 0; j < sizeof(names) / sizeof(names[0]); ++j) {
            VMP_CHECK(number(conn, names[j]) == sum_paths(ids[i], names[j]));
        }
        VMP_CHECK(number(conn, "downs") == number(iface, "paths_down"));
        VMP_CHECK(number(conn, "repairs") == number(iface, "repairs"));
        VMP_CHECK(number(conn, "repair_ns") == number(iface, "repair_ns"));
        VMP_CHECK(number(conn, "repair_max_ns") ==
                  number(iface, "repair_max_ns"));
        VMP_CHECK(number(conn, "replayed") ==
                  number(iface, "replayed_messages") +
                  number(iface, "replayed_puts") +
                  number(iface, "replayed_gets"));
        VMP_CHECK(number(iface, "conns_failed") == 0);
        VMP_CHECK(number(conn, "downs") == deaths);
        VMP_CHECK(number(conn, "repairs") == deaths);
        VMP_CHECK((number(conn, "repair_max_ns") > 0) == (deaths > 0));
        VMP_CHECK(number(conn, "repair_ns") <=
                  deaths * number(conn, "repair_max_ns"));
        for (j = 0; j < 4; ++j) {
            VMP_CHECK(is_text(get("path", ids[i], j), "state", "up"));
            VMP_CHECK(number(get("path", ids[i], j), "epoch") ==
                      1 + number(get("path", ids[i], j), "downs"));
        }
    }

    conn = get("conn", ids[0], -1);
    VMP_CHECK(number(conn, "tx_messages") == sent);
    VMP_CHECK(number(conn, "tx_frames") == sent);
    VMP_CHECK(number(conn, "tx_bytes") == sent * MSG_SIZE);
    conn  = get("conn", ids[1], -1);
    iface = get("iface", ids[1], -1);
    VMP_CHECK(number(conn, "rx_messages") == sent);
    VMP_CHECK(number(iface, "rx_duplicate") <=
              number(get("iface", ids[0], -1), "replayed_messages"));
}

static void test_stats(uint64_t seed, unsigned deaths)
{
    vmp_path_counters_t before[4], after[4];
    vmp_iface_ops_t ops;
    unsigned sent = 0;
    stream_t stream;
    uint64_t ids[2];
    unsigned i, path;

    world_begin("statistics", seed);
    num_lines        = 0;
    ops              = *world_params.ops;
    ops.stats        = on_stats;
    world_params.ops = &ops;
    world_open(2);
    ids[0] = world_nodes[0].iface->id;
    ids[1] = world_nodes[1].iface->id;
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    for (i = 0; i < deaths; ++i) {
        path = sim_random() % 4;
        send_some(&stream, NUM_MSGS, &sent);
        vmp_ep_get_path_counters(&stream.ep, before, 4);
        VMP_CHECK(before[path].tx_bytes > 0);
        stream_kill_path(&stream, path, VMP_WC_RETRY_EXC);
        send_some(&stream, 40, &sent);
        world_until(world_nodes[0].iface->counters.repairs.count == i + 1,
                    4000);
        world_until(world_nodes[1].iface->counters.repairs.count == i + 1,
                    4000);
        /* what it had carried before it died counts for ever */
        vmp_ep_get_path_counters(&stream.ep, after, 4);
        VMP_CHECK(after[path].tx_bytes >= before[path].tx_bytes);
    }

    send_some(&stream, NUM_MSGS, &sent);
    world_until(world_nodes[1].next_seq[stream.id] == sent, 1000);
    VMP_CHECK(num_lines == 0);
    stream_close(&stream);
    world_end();
    check_lines(ids, sent, deaths);
}

/* A peer that was never there, and one that is lost */
static void test_lost(uint64_t seed)
{
    vmp_iface_ops_t ops;
    stream_t stream;
    unsigned sent = 0;
    uint64_t id;

    world_begin("statistics of what is lost", seed);
    num_lines        = 0;
    ops              = *world_params.ops;
    ops.stats        = on_stats;
    world_params.ops = &ops;
    world_open(2);
    id = world_nodes[0].iface->id;
    stream_open(&stream, 0, 1);
    stream_wait_paths(&stream, 4);
    send_some(&stream, 50, &sent);
    vmp_ep_invalidate(&stream.ep);
    world_until(stream.failed, 1000);
    stream_close(&stream);
    world_until(num_lines > 0, 10000);
    VMP_CHECK(is_text(get("conn", id, -1), "state", "lost"));
    VMP_CHECK(number(get("conn", id, -1), "downs") == 0);
    world_end();
    VMP_CHECK(number(get("iface", id, -1), "conns_failed") == 1);
}

int main(void)
{
    uint64_t seed   = vmp_check_env("VMP_TEST_SEED", 1);
    uint64_t rounds = vmp_check_env("VMP_TEST_CASES", 50);
    uint64_t i;

    for (i = seed; i < seed + rounds; ++i) {
        test_stats(i, i % 4);
        test_lost(i);
    }

    printf("test_core_stats: ok\n");
    return 0;
}
