"""A temporal block of ConvTasNet with channelwise layer norms (cLN), also causal.

Each frame has statistics of its own, so nothing folds and PyTorch's layer norm serves;
its arguments are those of ``temporal_block.GlobalNormBlock.forward``.
"""

import torch
import torch.nn.functional as F

from polsess.models.sums import statistics_dtype


def channelwise_norm_block(x, *arguments):
    """Frames after the block, like ``x``; the depthwise convolution reflects."""
    *weights, dilation, eps = arguments
    expand, slope1, gain1, offset1, taps, *rest = weights
    normed = _expand(x, expand, slope1, gain1, offset1, eps)
    reach = taps.shape[1] // 2 * dilation
    num_frames = x.shape[1]
    padded = [
        normed[:, 1 : reach + 1].flip(1),
        normed,
        normed[:, num_frames - 1 - reach : num_frames - 1].flip(1),
    ]
    return _contract(x, torch.cat(padded, dim=1), taps, *rest, dilation, eps)


def causal_block(x, history, *arguments):
    """The same without a look ahead, also piece by piece.

    Arguments
    ---------
    x : torch.Tensor
        Frames [batch, frame, bottleneck].
    history : torch.Tensor
        Hidden frames before those of ``x`` that the depthwise convolution reaches
        [batch, (tap - 1) * dilation, hidden]; zeros at the start.
    *arguments
        Weights, dilation and eps.

    Returns
    -------
    torch.Tensor
        Frames after the block, like ``x``.
    torch.Tensor
        The history of the next piece.
    """
    *weights, dilation, eps = arguments
    expand, slope1, gain1, offset1, taps, *rest = weights
    normed = _expand(x, expand, slope1, gain1, offset1, eps)
    padded = torch.cat([history.to(normed.dtype), normed], dim=1)
    y = _contract(x, padded, taps, *rest, dilation, eps)
    return y, padded[:, x.shape[1] :]


def _channelwise_norm(x, gain, offset, eps):
    dtype = statistics_dtype(x.dtype)
    return F.layer_norm(x.to(dtype), x.shape[2:], gain, offset, eps).to(x.dtype)


def _expand(x, expand, slope, gain, offset, eps):
    hidden = x @ expand.to(x.dtype).T
    hidden = F.prelu(hidden, slope.to(x.dtype))
    return _channelwise_norm(hidden, gain, offset, eps)


def _contract(x, padded, taps, slope, gain, offset, contract, dilation, eps):
    """Depthwise convolution over padded hidden frames, then back to the bottleneck."""
    num_frames = x.shape[1]
    weights = taps.T.to(x.dtype)
    hidden = padded[:, :num_frames] * weights[0]
    for tap in range(1, len(weights)):
        seen = padded[:, tap * dilation : tap * dilation + num_frames]
        hidden = torch.addcmul(hidden, seen, weights[tap])
    hidden = F.prelu(hidden, slope.to(x.dtype))
    return x + _channelwise_norm(hidden, gain, offset, eps) @ contract.to(x.dtype).T
