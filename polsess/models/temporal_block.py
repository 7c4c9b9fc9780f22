"""A temporal block of ConvTasNet with global layer norms (gLN), as one function.

For one utterance a gLN has a single mean and a single deviation, so its affine map
folds into the convolution after it: reflection keeps constants, which lets it pass
through the depthwise convolution too. No norm is ever written out. Frames are rows,
[batch, frame, channel]: 1x1 convolutions are plain products, and a tap of the
depthwise convolution is a shift by whole rows.

    a = x @ expand.T                                         [batch, frame, hidden]
    p = prelu(a)
    d = depthwise(gLN(p))
      = sum of p[frame + ahead] * (tap * scale), over the taps, + sum(taps) * shift
    q = prelu(d)
    y = x + gLN(q) @ contract.T
      = x + q @ (contract * scale).T + shift @ contract.T
    where gLN(v) = v * scale + shift, scale = gain * rstd, shift = offset - mean * scale

Only x and a are kept for the backward pass; p, d and q are cheap to make again. All
that the norms' gradients need are sums over time that the other gradients need anyway:
of dL/dn as such, and of dL/dn times the norm's input.

The block is that of Luo, Mesgarani, "Conv-TasNet", 2019, figure 1 (b), without its skip
path, as SpeechBrain's ``conv_tasnet.TemporalBlock`` has it.
"""

import torch
import torch.nn.functional as F

from polsess.models.depthwise import convolve, convolve_transposed, correlate
from polsess.models.sums import dot_over_time, sum_over_time


def moments(x, eps):
    """Mean and reciprocal deviation of each utterance, [batch, 1, 1]."""
    count = x.shape[1] * x.shape[2]
    mean = sum_over_time(x).sum(2, keepdim=True) / count
    power = dot_over_time(x, x).sum(2, keepdim=True) / count
    variance = (power - mean * mean).clamp(min=0)  # rounding may make it negative
    return mean, torch.rsqrt(variance + eps)


def affine(gain, offset, mean, rstd):
    """The norm as scale and shift, [batch, 1, channel]."""
    scale = gain * rstd
    return scale, offset - mean * scale


def norm_backward(total, dot, gain, mean, rstd, count):
    """Gradients of a gLN from the sums over time of its output's gradient.

    Arguments
    ---------
    total, dot : torch.Tensor
        Sums of dL/dn and of dL/dn times the norm's input [batch, 1, channel].
    gain, mean, rstd : torch.Tensor
        Of the norm.
    count : int
        Frames times channels.

    Returns
    -------
    gain_grad, offset_grad : torch.Tensor
        [channel].
    slope, constant : torch.Tensor
        The same for each channel, [batch, 1, channel]:
        dL/dinput = scale * dL/dn + slope * input + constant.
    """
    normed = rstd * (dot - mean * total)  # sum of dL/dn times the normalised input
    slope = -(rstd**2) * (gain * normed).sum(2, keepdim=True) / count
    constant = -rstd * (gain * total).sum(2, keepdim=True) / count - slope * mean
    same = torch.ones_like(gain)
    return normed.sum((0, 1)), total.sum((0, 1)), slope * same, constant * same


def prelu_backward(grad, x, slope):
    """Gradients of PReLU for its input, like ``x``, and for its slope [1]."""
    out = x.clamp(max=0)
    slope_grad = dot_over_time(out, grad).sum().view(1)
    torch.ops.aten.threshold_backward.grad_input(grad, x, 0, grad_input=out)
    return out.lerp_(grad, slope.to(grad.dtype)), slope_grad


def normed_depthwise(p, scale, shift, taps, dilation):
    """The depthwise convolution of gLN(p), and its weights with the norm's scale."""
    weights = (taps.T[:, None, None] * scale).to(p.dtype)  # [tap, batch, 1, hidden]
    bias = (shift * taps.sum(1)).to(p.dtype)
    return convolve(p, weights, bias, dilation), weights


class GlobalNormBlock(torch.autograd.Function):
    """The block as above; its arguments are documented in ``forward``."""

    @staticmethod
    def forward(
        ctx,
        x,
        expand,
        slope1,
        gain1,
        offset1,
        taps,
        slope2,
        gain2,
        offset2,
        contract,
        dilation,
        eps,
    ):
        """Frames after the block, like ``x``.

        Arguments
        ---------
        ctx : object
            Autograd's.
        x : torch.Tensor
            Frames [batch, frame, bottleneck]; its dtype is that of the products.
        expand, taps, contract : torch.Tensor
            Weights of the three convolutions: [hidden, bottleneck], [hidden, tap],
            [bottleneck, hidden].
        slope1, slope2 : torch.Tensor
            Of the PReLUs [1].
        gain1, offset1, gain2, offset2 : torch.Tensor
            Of the norms [hidden].
        dilation : int
            Of the depthwise convolution; frames must be more than it reaches.
        eps : float
            Added to the variances.
        """
        dtype = x.dtype
        y = torch.empty_like(x)  # first, lest it takes the room that p leaves behind
        a = x @ expand.to(dtype).T
        p = F.prelu(a, slope1.to(dtype))
        mean1, rstd1 = moments(p, eps)
        scale, shift = affine(gain1, offset1, mean1, rstd1)
        d, _ = normed_depthwise(p, scale, shift, taps, dilation)
        del p

        q = F.prelu(d, slope2.to(dtype))
        del d
        mean2, rstd2 = moments(q, eps)
        scale, shift = affine(gain2, offset2, mean2, rstd2)
        torch.baddbmm(x, q, (contract * scale).to(dtype).mT, out=y)
        y += (shift @ contract.T).to(dtype)
        ctx.save_for_backward(
            *(x, a, expand, slope1, gain1, offset1, taps, slope2, gain2, offset2),
            *(contract, mean1, rstd1, mean2, rstd2),
        )
        ctx.dilation = dilation
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        """Gradients of all that ``forward`` takes, but dilation and eps."""
        with torch.autocast(grad.device.type, enabled=False):  # should it be on here
            return GlobalNormBlock._backward(ctx, grad)

    @staticmethod
    def _backward(ctx, grad):
        x, a, expand, slope1, gain1, offset1, taps, *second = ctx.saved_tensors
        slope2, gain2, offset2, contract, mean1, rstd1, mean2, rstd2 = second
        dtype, count = x.dtype, a.shape[1] * a.shape[2]
        p = F.prelu(a, slope1.to(dtype))
        scale1, shift1 = affine(gain1, offset1, mean1, rstd1)
        d, weights = normed_depthwise(p, scale1, shift1, taps, ctx.dilation)
        q = F.prelu(d, slope2.to(dtype))

        # y = x + gLN(q) @ contract.T
        grad_sum = sum_over_time(grad)
        outer = (grad.mT @ q).to(grad_sum.dtype)  # [batch, bottleneck, hidden]
        scale2, shift2 = affine(gain2, offset2, mean2, rstd2)
        contract_grad = (outer * scale2 + grad_sum.mT @ shift2).sum(0)
        total, dot = grad_sum @ contract, (contract * outer).sum(1, keepdim=True)
        gain2_grad, offset2_grad, slope, constant = norm_backward(
            total, dot, gain2, mean2, rstd2, count
        )
        torch.addcmul(constant.to(dtype), q, slope.to(dtype), out=q)
        q_grad = q.baddbmm_(grad, (contract * scale2).to(dtype))

        # q = prelu(d), d = depthwise(gLN(p))
        d_grad, slope2_grad = prelu_backward(q_grad, d, slope2)
        del d, q, q_grad
        total = sum_over_time(d_grad)
        dots = correlate(d_grad, p, len(weights), ctx.dilation)
        taps_grad = (dots * scale1 + total * shift1).sum((1, 2)).T
        dot = (dots * taps.T[:, None, None]).sum(0)
        gain1_grad, offset1_grad, slope, constant = norm_backward(
            total * taps.sum(1), dot, gain1, mean1, rstd1, count
        )
        p_grad = torch.addcmul(constant.to(dtype), p, slope.to(dtype), out=p)
        convolve_transposed(p_grad, d_grad, weights, ctx.dilation)
        del d_grad

        # p = prelu(a), a = x @ expand.T
        a_grad, slope1_grad = prelu_backward(p_grad, a, slope1)
        expand_grad = a_grad.flatten(0, 1).T @ x.flatten(0, 1)
        x_grad = torch.baddbmm(grad, a_grad, expand.to(dtype).expand(len(x), -1, -1))
        return (
            *(x_grad, expand_grad.to(expand.dtype), slope1_grad, gain1_grad),
            *(offset1_grad, taps_grad, slope2_grad, gain2_grad, offset2_grad),
            *(contract_grad, None, None),
        )


def global_norm_block(*arguments):
    """``GlobalNormBlock`` as a function, which torch.compile takes."""
    return GlobalNormBlock.apply(*arguments)
