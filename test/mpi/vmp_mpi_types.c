/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Derived types: the same bytes are laid out in one way at the sender and in
 * another one at the receiver. We keep a list of pieces of our own beside each
 * type, so that MPI's engine is not its own judge.
 */

#include "vmp_mpi_check.h"

#define MAX_PIECES 128


typedef struct {
    size_t offset;
    size_t length;
} piece_t;

typedef struct {
    MPI_Datatype type;
    int          count;    /* of the type in the message */
    size_t       span;     /* bytes of a buffer for all of them */
    int          num_pieces;
    piece_t      pieces[MAX_PIECES]; /* in the order of the type map */
} layout_t;

typedef enum {
    LAYOUT_CONTIG,
    LAYOUT_VECTOR,
    LAYOUT_GAPS,     /* blocks in ascending order with gaps of any size */
    LAYOUT_SHUFFLED, /* blocks in any order */
    LAYOUT_SUBARRAY, /* rows out of a larger array */
    LAYOUT_RESIZED,  /* several elements, each shorter than its extent */
    LAYOUT_NESTED,   /* a vector of a struct of two pieces */
    LAYOUT_LAST
} layout_kind_t;


static void add_piece(layout_t *layout, size_t offset, size_t length)
{
    piece_t *piece = &layout->pieces[layout->num_pieces++];

    piece->offset = offset;
    piece->length = length;
    if (layout->span < (offset + length)) {
        layout->span = offset + length;
    }
}

/* Blocks of the same length behind one another, or shuffled, with gaps */
static void make_hindexed(layout_t *layout, int rows, int row, uint64_t key,
                          int shuffle)
{
    MPI_Aint displ[MAX_PIECES], tmp;
    MPI_Aint offset = vmp_mix(key) % 50;
    int lengths[MAX_PIECES], i, j;

    for (i = 0; i < rows; ++i) {
        lengths[i] = row;
        displ[i]   = offset;
        offset    += row + (vmp_mix(key + i) % 41);
    }
    for (i = rows - 1; shuffle && (i > 0); --i) {
        j        = vmp_mix(key + 1000 + i) % (i + 1);
        tmp      = displ[i];
        displ[i] = displ[j];
        displ[j] = tmp;
    }
    for (i = 0; i < rows; ++i) {
        add_piece(layout, displ[i], row);
    }
    MPI_Type_create_hindexed(rows, lengths, displ, MPI_BYTE, &layout->type);
}

static void make_subarray(layout_t *layout, int rows, int row)
{
    int full[2]  = {rows + 3, row + 5};
    int part[2]  = {rows, row};
    int start[2] = {2, 3};
    int i;

    for (i = 0; i < rows; ++i) {
        add_piece(layout, (((size_t)start[0] + i) * full[1]) + start[1], row);
    }
    layout->span = (size_t)full[0] * full[1];
    MPI_Type_create_subarray(2, full, part, start, MPI_ORDER_C, MPI_BYTE,
                             &layout->type);
}

static void make_resized(layout_t *layout, int rows, int row)
{
    MPI_Datatype contig;
    int i;

    for (i = 0; i < rows; ++i) {
        add_piece(layout, (size_t)i * (row + 9), row);
    }
    MPI_Type_contiguous(row, MPI_BYTE, &contig);
    MPI_Type_create_resized(contig, 0, row + 9, &layout->type);
    MPI_Type_free(&contig);
    layout->count = rows;
}

/* A row is two pieces, the second one in front of the first */
static void make_nested(layout_t *layout, int rows, int row)
{
    int lengths[2]        = {row - (row / 2), row / 2};
    MPI_Aint displ[2]     = {row / 2 + 7, 0};
    MPI_Datatype types[2] = {MPI_BYTE, MPI_BYTE};
    MPI_Datatype pair, resized;
    int i;

    for (i = 0; i < rows; ++i) {
        add_piece(layout, ((size_t)i * 2 * (row + 11)) + displ[0], lengths[0]);
        add_piece(layout, (size_t)i * 2 * (row + 11), lengths[1]);
    }
    MPI_Type_create_struct(2, lengths, displ, types, &pair);
    MPI_Type_create_resized(pair, 0, row + 11, &resized);
    MPI_Type_vector(rows, 1, 2, resized, &layout->type);
    MPI_Type_free(&pair);
    MPI_Type_free(&resized);
}

/* A type of rows x row bytes. rows is at most MAX_PIECES / 2. */
static void layout_make(layout_t *layout, layout_kind_t kind, int rows, int row,
                        uint64_t key)
{
    int i;

    memset(layout, 0, sizeof(*layout));
    layout->count = 1;
    switch (kind) {
    case LAYOUT_CONTIG:
        add_piece(layout, 0, (size_t)rows * row);
        MPI_Type_contiguous(rows * row, MPI_BYTE, &layout->type);
        break;
    case LAYOUT_VECTOR:
        for (i = 0; i < rows; ++i) {
            add_piece(layout, (size_t)i * (row + 6), row);
        }
        MPI_Type_vector(rows, row, row + 6, MPI_BYTE, &layout->type);
        break;
    case LAYOUT_GAPS:
    case LAYOUT_SHUFFLED:
        make_hindexed(layout, rows, row, key, kind == LAYOUT_SHUFFLED);
        break;
    case LAYOUT_SUBARRAY:
        make_subarray(layout, rows, row);
        break;
    case LAYOUT_RESIZED:
        make_resized(layout, rows, row);
        break;
    default:
        make_nested(layout, rows, row);
        break;
    }
    MPI_Type_commit(&layout->type);
}

static void layout_fill(const layout_t *layout, uint8_t *buf, uint64_t key)
{
    size_t done = 0;
    int i;

    memset(buf, GUARD_BYTE, layout->span);
    for (i = 0; i < layout->num_pieces; ++i) {
        fill(buf + layout->pieces[i].offset, layout->pieces[i].length, key,
             done);
        done += layout->pieces[i].length;
    }
}

/* The pieces have the contents, and what is between them is untouched */
static void layout_check(const layout_t *layout, uint8_t *buf, uint64_t key,
                         const char *op, int peer)
{
    size_t done = 0;
    int i;

    for (i = 0; i < layout->num_pieces; ++i) {
        check(buf + layout->pieces[i].offset, layout->pieces[i].length, key,
              done, op, peer);
        done += layout->pieces[i].length;
        memset(buf + layout->pieces[i].offset, GUARD_BYTE,
               layout->pieces[i].length);
    }
    for (done = 0; done < layout->span; ++done) {
        if (buf[done] != GUARD_BYTE) {
            check_value("gap of a derived type", peer, buf[done], GUARD_BYTE);
        }
    }
    guarded_check(buf, layout->span, op, peer);
}

/* Kinds a and b, by turns as a message, in a window and packed */
static void test_layouts(layout_kind_t a, layout_kind_t b, int rows, int row,
                         uint64_t index)
{
    size_t size  = (size_t)rows * row;
    uint64_t key = make_key(40, rank, next, index);
    uint64_t in  = make_key(40, prev, rank, index);
    layout_t out_layout, in_layout;
    uint8_t *sbuf, *rbuf, *packed;
    MPI_Request req;
    MPI_Status st;
    int count, position = 0, room;

    set_where("derived types", size);
    layout_make(&out_layout, a, rows, row, vmp_mix(index));
    layout_make(&in_layout, b, rows, row, vmp_mix(index + 1));
    sbuf = guarded_alloc(out_layout.span);
    rbuf = guarded_alloc(in_layout.span);
    layout_fill(&out_layout, sbuf, key);
    if (index % 2) {
        MPI_Isend(sbuf, out_layout.count, out_layout.type, next, 1,
                  MPI_COMM_WORLD, &req);
        MPI_Recv(rbuf, in_layout.count, in_layout.type, prev, 1,
                 MPI_COMM_WORLD, &st);
    } else {
        MPI_Pack_size(out_layout.count, out_layout.type, MPI_COMM_WORLD, &room);
        packed = alloc(room);
        MPI_Pack(sbuf, out_layout.count, out_layout.type, packed, room,
                 &position, MPI_COMM_WORLD);
        MPI_Irecv(rbuf, in_layout.count, in_layout.type, prev, 1,
                  MPI_COMM_WORLD, &req);
        MPI_Send(packed, position, MPI_PACKED, next, 1, MPI_COMM_WORLD);
        free(packed);
    }
    MPI_Wait(&req, (index % 2) ? MPI_STATUS_IGNORE : &st);
    MPI_Get_count(&st, in_layout.type, &count);
    check_value("derived types: elements", prev, count, in_layout.count);
    layout_check(&in_layout, rbuf, in, "derived types", prev);
    count_payload(rank, next, size);
    MPI_Type_free(&out_layout.type);
    MPI_Type_free(&in_layout.type);
    guarded_free(sbuf);
    guarded_free(rbuf);
}

typedef struct {
    char    c;
    double  d;
    int32_t i;
    int16_t s[3];
} record_t;

static void test_records(int n)
{
    int lengths[4]        = {1, 1, 1, 3}, i, count;
    MPI_Aint displ[4]     = {offsetof(record_t, c), offsetof(record_t, d),
                             offsetof(record_t, i), offsetof(record_t, s)};
    MPI_Datatype types[4] = {MPI_CHAR, MPI_DOUBLE, MPI_INT32_T, MPI_INT16_T};
    record_t *out         = alloc(n * sizeof(*out));
    record_t *in          = alloc((n + 1) * sizeof(*in));
    MPI_Datatype fields, type;
    MPI_Status st;
    uint64_t key;

    set_where("records", n * sizeof(*out));
    MPI_Type_create_struct(4, lengths, displ, types, &fields);
    MPI_Type_create_resized(fields, 0, sizeof(record_t), &type);
    MPI_Type_commit(&type);
    for (i = 0; i < n; ++i) {
        key         = make_key(41, rank, next, i);
        out[i].c    = (char)key;
        out[i].d    = (double)(key >> 12);
        out[i].i    = (int32_t)(key >> 8);
        out[i].s[0] = (int16_t)(key >> 16);
        out[i].s[1] = (int16_t)(key >> 24);
        out[i].s[2] = (int16_t)(key >> 32);
    }
    /* room for one more, which nobody sends */
    MPI_Sendrecv(out, n, type, next, 2, in, n + 1, type, prev, 2,
                 MPI_COMM_WORLD, &st);
    MPI_Get_count(&st, type, &count);
    check_value("records: count", prev, count, n);
    MPI_Get_elements(&st, type, &count);
    check_value("records: elements", prev, count, 6 * n);
    for (i = 0; i < n; ++i) {
        key = make_key(41, prev, rank, i);
        check_value("records: char", prev, in[i].c, (char)key);
        check_value("records: double", prev, in[i].d == (double)(key >> 12), 1);
        check_value("records: int32", prev, in[i].i, (int32_t)(key >> 8));
        check_value("records: int16", prev, in[i].s[0], (int16_t)(key >> 16));
        check_value("records: int16", prev, in[i].s[1], (int16_t)(key >> 24));
        check_value("records: int16", prev, in[i].s[2], (int16_t)(key >> 32));
    }
    count_payload(rank, next, (size_t)n * 19);
    MPI_Type_free(&fields);
    MPI_Type_free(&type);
    free(out);
    free(in);
}

void test_types(void)
{
    static const int shapes[][2] = {{1, 1}, {5, 3}, {64, 16}, {33, 250},
                                    {7, 9000}, {64, 1024}, {60, 8191}};
    int num_shapes               = sizeof(shapes) / sizeof(shapes[0]);
    uint64_t index               = 0;
    int a, b, i;

    for (a = 0; a < LAYOUT_LAST; ++a) {
        for (b = 0; b < LAYOUT_LAST; ++b) {
            for (i = 0; i < num_shapes; ++i, ++index) {
                if ((opts.quick && ((index % 5) != 0)) ||
                    ((shapes[i][0] * (size_t)shapes[i][1]) > opts.max_size)) {
                    continue;
                }
                test_layouts(a, b, shapes[i][0], shapes[i][1], index);
            }
        }
    }
    test_records(1);
    test_records(opts.quick ? 1000 : 20000);
}
