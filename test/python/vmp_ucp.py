#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
"""UCP by ctypes, as far as a test wants it, used in the way of UCX-Py and UCXX:
endpoints by socket address in error mode "peer", completions by callbacks, and
progress only when the worker's event file descriptor says so."""

import ctypes as c
import select
import socket
import struct
import time

FEATURE_TAG = 1 << 0
FEATURE_RMA = 1 << 1
FEATURE_WAKEUP = 1 << 4
FEATURE_STREAM = 1 << 5
FEATURE_AM = 1 << 6

OK = 0
INPROGRESS = 1
ERR_BUSY = -15
ERR_CANCELED = -16

API_VERSION = (1, 13)
STREAM_RECV_WAITALL = 1
AM_RECV_RNDV = 1 << 17


class SockAddr(c.Structure):
    _fields_ = [("addr", c.c_void_p), ("addrlen", c.c_uint32)]


class Handler(c.Structure):
    _fields_ = [("func", c.c_void_p), ("arg", c.c_void_p)]


class Params(c.Structure):
    _fields_ = [("field_mask", c.c_uint64), ("features", c.c_uint64),
                ("request_size", c.c_size_t), ("request_init", c.c_void_p),
                ("request_cleanup", c.c_void_p), ("sender_mask", c.c_uint64),
                ("workers_shared", c.c_int), ("num_eps", c.c_size_t),
                ("num_ppn", c.c_size_t), ("name", c.c_char_p)]


class WorkerParams(c.Structure):
    _fields_ = [("field_mask", c.c_uint64), ("thread_mode", c.c_int),
                ("cpu_mask", c.c_ulong * 16), ("events", c.c_uint),
                ("user_data", c.c_void_p), ("event_fd", c.c_int),
                ("flags", c.c_uint64), ("name", c.c_char_p),
                ("am_alignment", c.c_size_t), ("client_id", c.c_uint64)]


class EpParams(c.Structure):
    _fields_ = [("field_mask", c.c_uint64), ("address", c.c_void_p),
                ("err_mode", c.c_int), ("err_handler", Handler),
                ("user_data", c.c_void_p), ("flags", c.c_uint),
                ("sockaddr", SockAddr), ("conn_request", c.c_void_p),
                ("name", c.c_char_p), ("local_sockaddr", SockAddr)]


class ListenerParams(c.Structure):
    _fields_ = [("field_mask", c.c_uint64), ("sockaddr", SockAddr),
                ("accept", Handler), ("conn", Handler)]


class RequestParam(c.Structure):
    _fields_ = [("mask", c.c_uint32), ("flags", c.c_uint32),
                ("request", c.c_void_p), ("cb", c.c_void_p),
                ("datatype", c.c_uint64), ("user_data", c.c_void_p),
                ("reply_buffer", c.c_void_p), ("memory_type", c.c_int),
                ("recv_info", c.c_void_p), ("memh", c.c_void_p)]


class AmHandlerParam(c.Structure):
    _fields_ = [("field_mask", c.c_uint64), ("id", c.c_uint),
                ("flags", c.c_uint32), ("cb", c.c_void_p), ("arg", c.c_void_p)]


class MemMapParams(c.Structure):
    _fields_ = [("field_mask", c.c_uint64), ("address", c.c_void_p),
                ("length", c.c_size_t), ("flags", c.c_uint),
                ("prot", c.c_uint), ("memory_type", c.c_int),
                ("exported", c.c_void_p)]


class AmRecvParam(c.Structure):
    _fields_ = [("attr", c.c_uint64), ("reply_ep", c.c_void_p)]


STATUS = c.c_int8  # ucs_status_t is a packed enum: the rest is not defined
SEND_CB = c.CFUNCTYPE(None, c.c_void_p, STATUS, c.c_void_p)
TAG_RECV_CB = c.CFUNCTYPE(None, c.c_void_p, STATUS, c.POINTER(c.c_uint64),
                          c.c_void_p)
LENGTH_CB = c.CFUNCTYPE(None, c.c_void_p, STATUS, c.c_size_t, c.c_void_p)
ERR_CB = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, STATUS)
CONN_CB = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p)
AM_CB = c.CFUNCTYPE(STATUS, c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p,
                    c.c_size_t, c.POINTER(AmRecvParam))

lib = c.CDLL("libucp.so.0")
for name, result, args in (
        ("ucp_config_read", STATUS, "ppp"), ("ucp_config_modify", STATUS,
                                              "ppp"),
        ("ucp_config_release", None, "p"),
        ("ucp_init_version", STATUS, "uuppp"), ("ucp_cleanup", None, "p"),
        ("ucp_worker_create", STATUS, "ppp"),
        ("ucp_worker_destroy", None, "p"),
        ("ucp_worker_progress", c.c_uint, "p"),
        ("ucp_worker_arm", STATUS, "p"),
        ("ucp_worker_get_efd", STATUS, "pp"),
        ("ucp_worker_set_am_recv_handler", STATUS, "pp"),
        ("ucp_listener_create", STATUS, "ppp"),
        ("ucp_listener_destroy", None, "p"),
        ("ucp_ep_create", STATUS, "ppp"), ("ucp_ep_close_nbx", c.c_void_p,
                                            "pp"),
        ("ucp_ep_flush_nbx", c.c_void_p, "pp"),
        ("ucp_tag_send_nbx", c.c_void_p, "ppstp"),
        ("ucp_tag_recv_nbx", c.c_void_p, "ppsttp"),
        ("ucp_stream_send_nbx", c.c_void_p, "ppsp"),
        ("ucp_stream_recv_nbx", c.c_void_p, "ppspp"),
        ("ucp_am_send_nbx", c.c_void_p, "pupspsp"),
        ("ucp_am_recv_data_nbx", c.c_void_p, "pppsp"),
        ("ucp_mem_map", STATUS, "ppp"), ("ucp_mem_unmap", STATUS, "pp"),
        ("ucp_rkey_pack", STATUS, "pppp"),
        ("ucp_rkey_buffer_release", None, "p"),
        ("ucp_ep_rkey_unpack", STATUS, "ppp"),
        ("ucp_rkey_destroy", None, "p"),
        ("ucp_put_nbx", c.c_void_p, "ppstpp"),
        ("ucp_get_nbx", c.c_void_p, "ppstpp"),
        ("ucp_request_cancel", None, "pp"),
        ("ucp_request_free", None, "p")):
    func = getattr(lib, name)
    func.restype = result
    func.argtypes = [{"p": c.c_void_p, "u": c.c_uint, "s": c.c_size_t,
                      "t": c.c_uint64}[arg] for arg in args]


class UcpError(Exception):
    """A call of UCP failed"""

    def __init__(self, what, status):
        super().__init__("%s: status %d" % (what, status))
        self.status = status


def check(what, status):
    if status != OK:
        raise UcpError(what, status)


def socket_address(host, port):
    """A struct sockaddr_in, and what UCP wants to know of it"""
    data = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + \
        socket.inet_aton(host) + bytes(8)
    buf = c.create_string_buffer(data, len(data))
    return buf, SockAddr(c.addressof(buf), len(data))


class Request:
    """An operation: status is INPROGRESS until its callback was called"""
    alive = {}  # by address of the callback: C has no reference to it

    def __init__(self, what, keep):
        self.what = what
        self.status = INPROGRESS
        self.length = None
        self.keep = keep  # buffers
        self.pointer = None

    def param(self, kind, mask=0, flags=0):
        """kind is the type of the callback"""
        self.callback = kind(self._done)
        addr = c.cast(self.callback, c.c_void_p)
        Request.alive[id(self)] = self
        return RequestParam(mask=mask | (1 << 1), flags=flags, cb=addr)

    def _done(self, _request, status, info=None, _user=None):
        if isinstance(info, int):
            self.length = info
        elif info:
            self.length = info[1]  # behind the sender's tag
        self.status = status

    def start(self, result):
        """result: what UCP's call returned: NULL, an error, or a request"""
        value = c.c_int64(result or 0).value
        if -128 < value <= 0:
            self.status = value
            del Request.alive[id(self)]
        else:
            self.pointer = result
        return self

    def finish(self):
        """Raises what went wrong"""
        assert self.status != INPROGRESS
        if self.pointer is not None:
            lib.ucp_request_free(self.pointer)
            self.pointer = None
            del Request.alive[id(self)]
        check(self.what, self.status)


def address_of(buf):
    return c.addressof((c.c_char * len(buf)).from_buffer(buf)) if buf else 0


class Worker:
    """Context and worker in one"""

    def __init__(self, config, features):
        self.handle = c.c_void_p()
        self.context = c.c_void_p()
        self.sleeps = 0  # times that we slept until UCP woke us up
        self.errors = []  # of endpoints, as long as nobody expects them
        self.handlers = []
        cfg = c.c_void_p()
        check("ucp_config_read", lib.ucp_config_read(None, None,
                                                     c.byref(cfg)))
        for key, value in config.items():
            check("ucp_config_modify " + key,
                  lib.ucp_config_modify(cfg, key.encode(), value.encode()))
        params = Params(field_mask=1 | (1 << 5),
                        features=features | FEATURE_WAKEUP, workers_shared=1)
        check("ucp_init",
              lib.ucp_init_version(*API_VERSION, c.byref(params), cfg,
                                   c.byref(self.context)))
        lib.ucp_config_release(cfg)
        # As UCXX: several threads may use it
        wparams = WorkerParams(field_mask=1, thread_mode=2)
        check("ucp_worker_create",
              lib.ucp_worker_create(self.context, c.byref(wparams),
                                    c.byref(self.handle)))
        efd = c.c_int()
        check("ucp_worker_get_efd", lib.ucp_worker_get_efd(self.handle,
                                                           c.byref(efd)))
        self.epoll = select.epoll()
        self.epoll.register(efd.value, select.EPOLLIN)

    def wait(self, what, until, seconds=60):
        """Sleeps and makes progress until until() says so"""
        end = time.monotonic() + seconds
        while True:
            while lib.ucp_worker_progress(self.handle):
                pass
            if until():
                return
            if self.errors:
                raise UcpError(what + ": an endpoint is lost", self.errors[0])
            status = lib.ucp_worker_arm(self.handle)
            if status == ERR_BUSY:
                continue
            check("ucp_worker_arm", status)
            left = end - time.monotonic()
            if left <= 0 or not self.epoll.poll(left):
                raise TimeoutError(what + ": nothing wakes us up")
            self.sleeps += 1

    def finish(self, *requests):
        for request in requests:
            self.wait(request.what, lambda r=request: r.status != INPROGRESS)
            request.finish()

    def tag_recv(self, buf, tag):
        request = Request("tag_recv", buf)
        return request.start(lib.ucp_tag_recv_nbx(
            self.handle, address_of(buf), len(buf), tag, (1 << 64) - 1,
            c.byref(request.param(TAG_RECV_CB))))

    def cancel(self, request):
        lib.ucp_request_cancel(self.handle, request.pointer)

    def am_handler(self, number, func):
        """func(header, data or None, descriptor, length)"""
        def received(_arg, header, header_len, data, length, param):
            head = c.string_at(header, header_len) if header_len else b""
            if param.contents.attr & AM_RECV_RNDV:
                func(head, None, data, length)
                return INPROGRESS
            func(head, c.string_at(data, length) if length else b"", None,
                 length)
            return OK
        callback = AM_CB(received)
        self.handlers.append(callback)
        param = AmHandlerParam(field_mask=1 | (1 << 2), id=number,
                               cb=c.cast(callback, c.c_void_p))
        check("ucp_worker_set_am_recv_handler",
              lib.ucp_worker_set_am_recv_handler(self.handle, c.byref(param)))

    def am_recv(self, descriptor, buf):
        request = Request("am_recv", buf)
        return request.start(lib.ucp_am_recv_data_nbx(
            self.handle, descriptor, address_of(buf), len(buf),
            c.byref(request.param(LENGTH_CB))))

    def close(self):
        self.epoll.close()
        lib.ucp_worker_destroy(self.handle)
        lib.ucp_cleanup(self.context)


class Memory:
    """Mapped for one-sided operations of others"""

    def __init__(self, worker, buf):
        self.worker, self.buf = worker, buf
        self.address = address_of(buf)
        self.handle = c.c_void_p()
        params = MemMapParams(field_mask=3, address=self.address,
                              length=len(buf))
        check("ucp_mem_map", lib.ucp_mem_map(
            worker.context, c.byref(params), c.byref(self.handle)))

    def pack(self):
        """The key that others need besides the address"""
        data, size = c.c_void_p(), c.c_size_t()
        check("ucp_rkey_pack", lib.ucp_rkey_pack(
            self.worker.context, self.handle, c.byref(data), c.byref(size)))
        key = c.string_at(data, size.value)
        lib.ucp_rkey_buffer_release(data)
        return key

    def close(self):
        check("ucp_mem_unmap", lib.ucp_mem_unmap(self.worker.context,
                                                 self.handle))


class RemoteMemory:
    """What the peer of an endpoint has mapped"""

    def __init__(self, ep, address, key):
        self.ep, self.address = ep, address
        self.handle = c.c_void_p()
        check("ucp_ep_rkey_unpack", lib.ucp_ep_rkey_unpack(
            ep.handle, key, c.byref(self.handle)))

    def _start(self, what, func, buf, offset):
        request = Request(what, buf)
        return request.start(func(
            self.ep.handle, address_of(buf), len(buf), self.address + offset,
            self.handle, c.byref(request.param(SEND_CB))))

    def put(self, buf, offset):
        return self._start("put", lib.ucp_put_nbx, buf, offset)

    def get(self, buf, offset):
        return self._start("get", lib.ucp_get_nbx, buf, offset)

    def close(self):
        lib.ucp_rkey_destroy(self.handle)


class Listener:
    """Puts requests for connections into a list"""

    def __init__(self, worker, host, port):
        self.requests = []
        self.handle = c.c_void_p()
        self.callback = CONN_CB(lambda req, _arg: self.requests.append(req))
        self.keep, addr = socket_address(host, port)
        params = ListenerParams(
            field_mask=1 | (1 << 2), sockaddr=addr,
            conn=Handler(c.cast(self.callback, c.c_void_p), None))
        check("ucp_listener_create",
              lib.ucp_listener_create(worker.handle, c.byref(params),
                                      c.byref(self.handle)))

    def close(self):
        lib.ucp_listener_destroy(self.handle)


class Endpoint:
    """In error mode "peer": the worker gets its errors"""

    def __init__(self, worker, conn_request=None, address=None):
        self.worker = worker
        self.handle = c.c_void_p()
        self.callback = ERR_CB(
            lambda _arg, _ep, status: worker.errors.append(status))
        params = EpParams(field_mask=(1 << 1) | (1 << 2), err_mode=1,
                          err_handler=Handler(c.cast(self.callback,
                                                     c.c_void_p), None))
        if conn_request is not None:
            params.field_mask |= 1 << 6
            params.conn_request = conn_request
        else:
            self.keep, params.sockaddr = socket_address(*address)
            params.field_mask |= (1 << 4) | (1 << 5)
            params.flags = 1  # client of a listener
        check("ucp_ep_create", lib.ucp_ep_create(
            worker.handle, c.byref(params), c.byref(self.handle)))

    def tag_send(self, buf, tag):
        request = Request("tag_send", buf)
        return request.start(lib.ucp_tag_send_nbx(
            self.handle, address_of(buf), len(buf), tag,
            c.byref(request.param(SEND_CB))))

    def stream_send(self, buf):
        request = Request("stream_send", buf)
        return request.start(lib.ucp_stream_send_nbx(
            self.handle, address_of(buf), len(buf),
            c.byref(request.param(SEND_CB))))

    def stream_recv(self, buf):
        request = Request("stream_recv", buf)
        length = c.c_size_t()
        return request.start(lib.ucp_stream_recv_nbx(
            self.handle, address_of(buf), len(buf), c.byref(length),
            c.byref(request.param(LENGTH_CB, 1 << 4, STREAM_RECV_WAITALL))))

    def am_send(self, number, header, buf):
        request = Request("am_send", (header, buf))
        return request.start(lib.ucp_am_send_nbx(
            self.handle, number, address_of(header), len(header),
            address_of(buf), len(buf), c.byref(request.param(SEND_CB))))

    def flush(self):
        request = Request("flush", None)
        return request.start(lib.ucp_ep_flush_nbx(
            self.handle, c.byref(request.param(SEND_CB))))

    def close(self, force=False):
        request = Request("close", None)
        return request.start(lib.ucp_ep_close_nbx(
            self.handle, c.byref(request.param(SEND_CB, (1 << 4) if force
                                               else 0, int(force)))))
