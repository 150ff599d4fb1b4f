#!/usr/bin/python3
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
"""An mpi4py program: buffers, pickled objects and one-sided operations, all
contents checked. Any number of ranks from two; --seed N repeats a run."""

import argparse
import array
import random
import sys
import time

from mpi4py import MPI

SIZES = [0, 1, 100, 8192, 65537, 1 << 20]
COMM = MPI.COMM_WORLD
RANK, COUNT = COMM.Get_rank(), COMM.Get_size()
NEXT, PREV = (RANK + 1) % COUNT, (RANK - 1) % COUNT


def content(seed, *what):
    """What both sides of a transfer know: a generator for its name"""
    return random.Random(repr((seed,) + what))


def some_bytes(seed, what, rank, size):
    return content(seed, what, rank, size).randbytes(size)


def some_object(gen, depth=4):
    """Nested, of all kinds that pickle knows well"""
    kind = gen.randrange(7 if depth else 4)
    if kind == 0:
        return gen.getrandbits(gen.choice((8, 64, 1000)))
    if kind == 1:
        return gen.random()
    if kind == 2:
        return gen.randbytes(gen.choice((0, 10, 20000)))
    if kind == 3:
        return "".join(gen.choices("abc\u00e9\u4e2d", k=gen.randrange(300)))
    items = [some_object(gen, depth - 1) for _ in range(gen.randrange(1, 6))]
    if kind == 4:
        return items
    if kind == 5:
        return tuple(items)
    return {("key", i): item for i, item in enumerate(items)}


def check(what, got, want):
    if got != want:
        raise AssertionError("rank %d: %s: contents differ" % (RANK, what))


def buffers(seed):
    for size in SIZES:
        got = bytearray(size)
        COMM.Sendrecv(some_bytes(seed, "send", RANK, size), NEXT, 1, got,
                      PREV, 1)
        check("Sendrecv", got, some_bytes(seed, "send", PREV, size))
        buf = bytearray(some_bytes(seed, "bcast", 0, size) if RANK == 0 else
                        size)
        COMM.Bcast(buf, 0)
        check("Bcast", buf, some_bytes(seed, "bcast", 0, size))
        every = bytearray(size * COUNT)
        COMM.Allgather(some_bytes(seed, "gather", RANK, size), every)
        check("Allgather", every, b"".join(
            some_bytes(seed, "gather", k, size) for k in range(COUNT)))
    numbers = array.array("q", (RANK * i for i in range(5000)))
    sums = array.array("q", bytes(8 * len(numbers)))
    COMM.Allreduce(numbers, sums)
    check("Allreduce", list(sums),
          [COUNT * (COUNT - 1) // 2 * i for i in range(5000)])


def pickles(seed, rounds):
    def mine(what, i, src, dst=0):
        return some_object(content(seed, what, i, src, dst))

    for i in range(rounds):
        request = COMM.isend(mine("send", i, RANK), NEXT, i)
        check("recv", COMM.recv(source=PREV, tag=i), mine("send", i, PREV))
        request.wait()
        root = i % COUNT
        check("bcast", COMM.bcast(mine("bcast", i, root) if RANK == root
                                  else None, root), mine("bcast", i, root))
        got = COMM.alltoall([mine("alltoall", i, RANK, k)
                             for k in range(COUNT)])
        check("alltoall", got, [mine("alltoall", i, k, RANK)
                                for k in range(COUNT)])
        message = COMM.gather(mine("gather", i, RANK), root)
        if RANK == root:
            check("gather", message, [mine("gather", i, k)
                                      for k in range(COUNT)])


def one_sided(seed):
    size = max(SIZES)
    win = MPI.Win.Allocate(size + 64, comm=COMM)
    mem = memoryview(win)
    for want in SIZES:
        mem[:] = bytes(size + 64)
        win.Fence()
        win.Put(some_bytes(seed, "put", RANK, want), NEXT)
        win.Fence()
        check("Put", bytes(mem[:want]), some_bytes(seed, "put", PREV, want))
        check("behind Put", bytes(mem[want:]), bytes(size + 64 - want))
        got = bytearray(want)
        win.Lock(NEXT, MPI.LOCK_SHARED)
        win.Get(got, NEXT)
        win.Unlock(NEXT)
        check("Get", got, some_bytes(seed, "put", RANK, want))
        COMM.Barrier()
    win.Free()
    win = MPI.Win.Allocate(64, 8, comm=COMM)
    memoryview(win)[:] = bytes(64)
    COMM.Barrier()
    one, old = array.array("q", [1]), array.array("q", [-1])
    seen = -1
    for _ in range(20):
        win.Lock(0)
        win.Fetch_and_op([one, MPI.INT64_T], [old, MPI.INT64_T], 0)
        win.Unlock(0)
        if old[0] <= seen:
            raise AssertionError("Fetch_and_op went back")
        seen = old[0]
    COMM.Barrier()
    win.Lock(0)
    win.Get([old, MPI.INT64_T], 0)
    win.Unlock(0)
    check("Fetch_and_op", old[0], 20 * COUNT)
    win.Free()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rounds", type=int, default=12)
    args = parser.parse_args()
    assert COUNT > 1, "two ranks or more"
    seed = COMM.bcast(args.seed)
    if RANK == 0:
        print("vmp_mpi4py: %d ranks, seed %d" % (COUNT, seed), flush=True)
    buffers(seed)
    pickles(seed, args.rounds)
    one_sided(seed)
    COMM.Barrier()
    if RANK == 0:
        print("vmp_mpi4py: PASS (seed %d)" % seed, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Exception as err:  # or the others would wait for this rank
        print("vmp_mpi4py: FAIL: %r" % err, file=sys.stderr, flush=True)
        COMM.Abort(1)
