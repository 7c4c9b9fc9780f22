"""Freed memory stays in the process."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from polsess.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print([page_faults() for _ in range(10)][-1])  # after the heap has found its size
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
@pytest.mark.parametrize("keep", [True, False])
def test_freed_memory_is_taken_again_without_page_faults(keep):
    words = [sys.executable, "-c", PROGRAM, "keep" if keep else "default"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    num_pages = 2**26 // 2**21  # huge ones, the fewest there can be
    assert (int(done.stdout) < num_pages) == keep
