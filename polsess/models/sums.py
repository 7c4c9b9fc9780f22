"""Sums over time that neither half precision nor many frames make inexact."""

import torch

# Long sums go in chunks on a CPU, whose running sum stays in a core's cache. Few terms
# are added one after another, which keeps single precision exact.
CHUNK_ELEMENTS = 2**18


def statistics_dtype(dtype):
    """Sums are never taken in half precision."""
    return torch.promote_types(dtype, torch.float32)


def sum_over_time(x):
    """Per channel, [batch, frame, channel] to [batch, 1, channel]."""
    return x.sum(1, keepdim=True, dtype=statistics_dtype(x.dtype))


def dot_over_time(x, y):
    """Sum of x * y per channel, [batch, frame, channel] to [batch, 1, channel]."""
    dtype = statistics_dtype(x.dtype)
    chunked = x.device.type == "cpu" and not torch.compiler.is_compiling()
    num_chunks = 1 + x.numel() // CHUNK_ELEMENTS if chunked else 1
    size = -(-x.shape[1] // num_chunks)
    pairs = zip(x.split(size, 1), y.split(size, 1), strict=True)
    first, second = next(pairs)
    total = first.to(dtype) * second.to(dtype)
    for first, second in pairs:  # the last may be shorter
        total[:, : first.shape[1]].addcmul_(first.to(dtype), second.to(dtype))
    return total.sum(1, keepdim=True)
