"""A stack of its own for a thread's signal handlers: on one that overflowed nothing can run, and so
nobody would know what ended the process."""

import ctypes
import sys
import threading

#: What the handler of `faulthandler` takes, many times over.
STACK_BYTES = 1 << 18
#: Lives as long as its thread: handlers write to it, whoever else has that memory by then.
_kept = threading.local()


class _Stack(ctypes.Structure):
    """Linux' stack_t."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


def give_signal_stack() -> None:
    """Give this thread one, unless it is the main thread: that has Python's.

    Elsewhere than on Linux nothing is done.
    """
    if sys.platform != "linux" or threading.current_thread() is threading.main_thread():
        return
    memory = ctypes.create_string_buffer(STACK_BYTES)
    stack = _Stack(ctypes.addressof(memory), 0, STACK_BYTES)
    if ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0:
        _kept.memory = memory  # else a death is explained without it, most often
