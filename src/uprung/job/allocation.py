"""Memory that a step has freed stays with the process for the next step, in any process that uses a network.

glibc gives large blocks back to the system as soon as they are free. A step of training allocates and frees gigabytes
in blocks of some MiB, and every block that comes anew from the system is filled with zeros page by page: a sixth of the
time of a step on an idle machine, and most of it where other processes do the same (benchmarks/allocation.py). And it
gives back what a thread other than the first one has freed whatever the settings are, so that all threads share the
first one's memory.
"""

from __future__ import annotations

import ctypes  # noqa: TID251 - for the C library that this process runs on, no other file
import os
import sys
from functools import cache

#: What a user may have decided already.
DECIDED = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
#: mallopt(3): parameters, and the largest values that they take.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST_INT, _LARGEST_BLOCK = 2**31 - 1, 2**25  # half a heap of glibc; it refuses more


@cache
def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed, once per process; return whether it was told.

    Nothing is done where a variable of `DECIDED` is set, and on systems without glibc: the allocators of macOS and musl
    have no such setting. Freed memory is used again, so the process holds its peak and no more.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in DECIDED):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    large = mallopt(_MMAP_THRESHOLD, _LARGEST_INT) or mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    return bool(large and mallopt(_TRIM_THRESHOLD, _LARGEST_INT) and mallopt(_ARENA_MAX, 1))
