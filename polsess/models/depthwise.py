"""A dilated depthwise convolution of frames as rows, and its two gradients.

A tap is a shift by whole rows, so each is one multiply-add over contiguous memory,
where library kernels take up to fifty times as long, by dilation. Weights are given
for each utterance, [tap, batch, 1, channel], since norms are folded into them. Both
ends are reflected.
"""

import torch

from polsess.models.sums import dot_over_time


def reflected(num_frames, shift):
    """Where frame t + shift is found, reflected at both ends.

    Gives triples: the frames t, the frames they need, whether those are reversed.

    Example
    -------
    >>> for pieces in reflected(num_frames=5, shift=-2):
    ...     print(pieces)
    (slice(2, 5, None), slice(0, 3, None), False)
    (slice(0, 2, None), slice(1, 3, None), True)
    """
    width, last = abs(shift), num_frames - 1
    if width == 0:
        yield slice(0, num_frames), slice(0, num_frames), False
    elif shift < 0:
        yield slice(width, num_frames), slice(0, num_frames - width), False
        yield slice(0, width), slice(1, width + 1), True
    else:
        yield slice(0, num_frames - width), slice(width, num_frames), False
        yield slice(num_frames - width, num_frames), slice(last - width, last), True


def select(x, frames, reverse):
    """Frames of [batch, frame, channel]."""
    return x[:, frames].flip(1) if reverse else x[:, frames]


def shifts(num_taps, dilation):
    """How far each tap of a centred, dilated kernel looks ahead, in frames.

    Example
    -------
    >>> shifts(num_taps=3, dilation=4)
    [-4, 0, 4]
    """
    return [(tap - num_taps // 2) * dilation for tap in range(num_taps)]


def convolve(x, weights, bias, dilation):
    """Frames [batch, frame, channel] convolved, with a bias [batch, 1, channel]."""
    out = torch.addcmul(bias, x, weights[len(weights) // 2])
    for weight, ahead in zip(weights, shifts(len(weights), dilation), strict=True):
        if ahead != 0:
            for frames, needed, reverse in reflected(x.shape[1], ahead):
                out[:, frames].addcmul_(select(x, needed, reverse), weight)
    return out


def correlate(grad, x, num_taps, dilation):
    """Sums over time of the output's gradient with what each tap saw.

    Returns
    -------
    torch.Tensor
        [tap, batch, 1, channel], in single precision at least.
    """
    dots = []
    for ahead in shifts(num_taps, dilation):
        pieces = [
            dot_over_time(grad[:, frames], select(x, needed, reverse))
            for frames, needed, reverse in reflected(x.shape[1], ahead)
        ]
        dots.append(sum(pieces))
    return torch.stack(dots)


def convolve_transposed(total, grad, weights, dilation):
    """Add to ``total`` the input's gradient, from the output's, in place."""
    for weight, ahead in zip(weights, shifts(len(weights), dilation), strict=True):
        for frames, needed, reverse in reflected(grad.shape[1], ahead):
            total[:, needed].addcmul_(select(grad, frames, reverse), weight)
