"""The C library's allocator, told to keep the memory that PyTorch frees.

glibc hands large blocks back to the system when they are freed, and the system zeroes
every page again on the next use: a training step on a CPU frees and takes the same
gigabyte each time.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory():
    """Keep freed memory in the process, for PyTorch to take again.

    Does nothing where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
