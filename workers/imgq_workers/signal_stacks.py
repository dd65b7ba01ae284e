"""A stack of its own for a thread's signal handlers: on one that overflowed nothing can run, and so
nobody would know what ended the process."""

import ctypes
import sys

#: What the handler of `faulthandler` takes, many times over.
STACK_BYTES = 1 << 18


class _Stack(ctypes.Structure):
    """Linux' stack_t."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


def give_signal_stack() -> object:
    """Give this thread one; return what must be kept for as long as the thread lives.

    Python does so for the main thread alone. Elsewhere than on Linux nothing is done.
    """
    if sys.platform != "linux":
        return None
    memory = ctypes.create_string_buffer(STACK_BYTES)
    stack = _Stack(ctypes.addressof(memory), 0, STACK_BYTES)
    if ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) != 0:
        return None  # a death is explained without it, most often
    return memory
