#!/usr/bin/python3
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
"""Two Python processes that speak by UCX, as programs of UCX-Py and UCXX do:

  vmp_python.py [--module FILE] [--seed N] [--rounds N] [--repeat N]
                server|client HOST PORT

Both check what they receive, and that they sleep. --module loads Virtuoso's
module by its path first, for a process without the preload shim. --rounds are
connections one after the other, --repeat says how often each carries all. What is
not for one side only must be the same for both."""

import argparse
import ctypes
import os
import random
import struct
import sys

SIZES = [1, 8, 100, 8100, 8192, 8193, 20000, 100001, 1 << 20]
AM_DATA = 7
RMA_TAG = 1 << 41
RMA_SHIFT = 3  # contents begin there: not aligned
RMA_GUARD = b"\xa5" * 64


def stream(seed, name, size):
    """The bytes that both sides know"""
    return bytearray(random.Random("%s %s" % (seed, name)).randbytes(size))


def expect(seed, name, got):
    if bytes(got) != bytes(stream(seed, name, len(got))):
        raise AssertionError("%s: %d bytes differ" % (name, len(got)))


class Side:
    """Either side: both send the same kinds of messages to each other"""

    def __init__(self, ucp, worker, ep, seed, me):
        self.ucp, self.worker, self.ep, self.seed = ucp, worker, ep, seed
        self.me, self.peer = me, "client" if me == "server" else "server"
        self.ams = []

    def mine(self, what, size):
        return stream(self.seed, "%s %s %d" % (self.me, what, size), size)

    def check(self, what, got):
        expect(self.seed, "%s %s %d" % (self.peer, what, len(got)), got)

    def tags(self):
        """One at a time, and then all at once, received in another order"""
        for size in SIZES:
            buf = bytearray(size)
            recv = self.worker.tag_recv(buf, size)
            send = self.ep.tag_send(self.mine("tag", size), size)
            self.worker.finish(recv, send)
            self.check("tag", buf)
        sends = [self.ep.tag_send(self.mine("all", size), size + (1 << 40))
                 for size in SIZES]
        bufs = [bytearray(size) for size in reversed(SIZES)]
        recvs = [self.worker.tag_recv(buf, len(buf) + (1 << 40))
                 for buf in bufs]
        self.worker.finish(*sends, *recvs)
        for buf in bufs:
            self.check("all", buf)

    def streams(self):
        for size in SIZES:
            buf = bytearray(size)
            recv = self.ep.stream_recv(buf)
            send = self.ep.stream_send(self.mine("stream", size))
            self.worker.finish(recv, send)
            self.check("stream", buf)

    def on_am(self, header, data, descriptor, length):
        if descriptor is not None:
            buf = bytearray(length)
            self.ams.append((header, buf,
                             self.worker.am_recv(descriptor, buf)))
        else:
            self.ams.append((header, data, None))

    def messages(self):
        for size in SIZES:
            send = self.ep.am_send(AM_DATA, bytearray(b"%d" % size),
                                   self.mine("am", size))
            self.worker.wait("am", lambda: self.ams)
            header, data, request = self.ams.pop(0)
            if request is not None:
                self.worker.finish(request)
            self.worker.finish(send)
            assert header == b"%d" % size, header
            self.check("am", data)

    def exchange(self, tag, data=b"!"):
        """Both sides are here; returns what the peer says"""
        buf = bytearray(1000)
        recv = self.worker.tag_recv(buf, RMA_TAG + tag)
        self.worker.finish(recv, self.ep.tag_send(bytearray(data),
                                                  RMA_TAG + tag))
        return bytes(buf[:recv.length])

    def one_sided(self):
        """Puts into the first half of the peer's memory, gets from the other
        one. Nobody reads behind it, nor writes."""
        half = RMA_SHIFT + max(SIZES) + len(RMA_GUARD)
        mem = self.ucp.Memory(self.worker, bytearray(2 * half))
        hello = self.exchange(0, struct.pack("=Q", mem.address) + mem.pack())
        remote = self.ucp.RemoteMemory(
            self.ep, struct.unpack("=Q", hello[:8])[0], hello[8:])
        for size in SIZES:
            end = RMA_SHIFT + size
            mem.buf[:end + len(RMA_GUARD)] = bytes(end) + RMA_GUARD
            mem.buf[half + RMA_SHIFT:half + end] = self.mine("get", size)
            self.exchange(1)
            got = bytearray(size)
            get = remote.get(got, half + RMA_SHIFT)
            self.worker.finish(remote.put(self.mine("put", size), RMA_SHIFT),
                               get)
            self.check("get", got)
            self.worker.finish(self.ep.flush())
            self.exchange(2)
            self.check("put", mem.buf[RMA_SHIFT:end])
            assert bytes(mem.buf[:RMA_SHIFT]) == bytes(RMA_SHIFT), "before put"
            assert bytes(mem.buf[end:end + len(RMA_GUARD)]) == RMA_GUARD, \
                "behind put"
        self.exchange(3)
        remote.close()
        mem.close()

    def cancel(self):
        """A receive that nothing can match"""
        recv = self.worker.tag_recv(bytearray(100), 99)
        self.worker.cancel(recv)
        try:
            self.worker.finish(recv)
        except self.ucp.UcpError as err:
            assert err.status == self.ucp.ERR_CANCELED, err
        else:
            raise AssertionError("not canceled")

    def part(self):
        """The client closes in order; the server is told of it, once"""
        if self.me == "client":
            self.worker.finish(self.ep.flush())
            self.worker.finish(self.ep.close())
            return
        self.worker.wait("the peer's end", lambda: self.worker.errors)
        assert len(self.worker.errors) == 1, self.worker.errors
        self.worker.errors.clear()
        # What is started now must fail and not hang
        try:
            self.worker.finish(self.ep.tag_send(bytearray(1 << 20), 5))
        except self.ucp.UcpError:
            pass
        else:
            raise AssertionError("a message to nobody was sent")
        self.worker.finish(self.ep.close(force=True))
        assert not self.worker.errors, self.worker.errors


def module_paths():
    with open("/proc/self/maps", encoding="ascii") as maps:
        return {line.split()[-1] for line in maps if "libuct_vmp" in line}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("side", choices=("server", "client"))
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    args = parser.parse_args()

    if args.module:
        assert "LD_PRELOAD" not in os.environ
        os.environ.setdefault("UCX_TLS", "vmp,sm,self")
        ctypes.CDLL("libucp.so.0")  # what "import ucp" does
        ctypes.CDLL(args.module)
    import vmp_ucp as ucp
    worker = ucp.Worker({"MAX_RNDV_RAILS": "1"},
                        ucp.FEATURE_TAG | ucp.FEATURE_STREAM | ucp.FEATURE_AM |
                        ucp.FEATURE_RMA)
    if "vmp" in os.environ.get("UCX_TLS", ""):
        assert len(module_paths()) == 1, module_paths()
    listener = None
    if args.side == "server":
        listener = ucp.Listener(worker, args.host, args.port)
        print("vmp_python: listening", flush=True)
    sleeps = worker.sleeps
    for i in range(args.rounds):
        if listener:
            worker.wait("a client", lambda: listener.requests)
            ep = ucp.Endpoint(worker, conn_request=listener.requests.pop())
        else:
            ep = ucp.Endpoint(worker, address=(args.host, args.port))
        side = Side(ucp, worker, ep, "%s %d" % (args.seed, i), args.side)
        worker.am_handler(AM_DATA, side.on_am)
        for act in ([side.tags, side.streams, side.messages, side.one_sided] *
                    args.repeat + [side.cancel, side.part]):
            act()
    if listener:
        listener.close()
    sleeps = worker.sleeps - sleeps
    worker.close()
    assert not ucp.Request.alive, ucp.Request.alive
    assert sleeps > 0
    print("vmp_python: PASS: %d bytes sent, slept %d times" %
          (6 * sum(SIZES) * args.rounds * args.repeat, sleeps), flush=True)


if __name__ == "__main__":
    sys.exit(main())
