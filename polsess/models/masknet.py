"""SpeechBrain's mask network of ConvTasNet, computed faster with the same weights."""

import torch
import torch.nn.functional as F
from speechbrain.lobes.models import conv_tasnet

from polsess.models.channelwise_block import causal_block, channelwise_norm_block
from polsess.models.sums import statistics_dtype
from polsess.models.temporal_block import global_norm_block

# On a CPU a batch passes in parts, so that their hidden frames stay in its cache.
CACHED_BYTES = 2**23


class MaskNet(conv_tasnet.MaskNet):
    """SpeechBrain's ``MaskNet``, its weights and masks, in a fraction of the time.

    State dicts are interchangeable both ways. What differs: norms take their
    statistics in single precision under autocast; ``causal`` is what it says, while
    SpeechBrain's pads twice and keeps a norm over the whole input.

    Arguments
    ---------
    N : int
        Filters of the encoder.
    B, H : int
        Channels of the bottleneck, and hidden ones of the blocks.
    P : int
        Kernel size of the depthwise convolutions, odd.
    X, R : int
        Blocks in each repeat, with dilations 1, 2, 4, ..., and repeats.
    C : int
        Sources.
    norm_type : str
        gLN, over all channels and frames; or cLN, over the channels of each frame.
    causal : bool
        Whether a frame's mask depends on no later frame; needs cLN.
    mask_nonlinear : str
        relu; or softmax, over the filters.

    Raises
    ------
    ValueError
        For arguments that do not exist or do not go together.

    Example
    -------
    >>> masknet = MaskNet(N=8, B=4, H=6, P=3, X=2, R=1, C=2)
    >>> masknet(torch.rand(3, 8, 50)).shape
    torch.Size([2, 3, 8, 50])
    """

    def __init__(
        self,
        N,
        B,
        H,
        P,
        X,
        R,
        C,
        norm_type="gLN",
        causal=False,
        mask_nonlinear="relu",
    ):
        problems = []
        if norm_type not in ("gLN", "cLN"):
            problems.append(f"norm_type: expected gLN or cLN; found {norm_type!r}")
        if mask_nonlinear not in ("relu", "softmax"):
            problems.append(
                f"mask_nonlinear: expected relu or softmax; found {mask_nonlinear!r}"
            )
        if P % 2 == 0:
            problems.append(f"P: expected an odd kernel size; found {P}")
        if causal and norm_type == "gLN":
            problems.append(
                "causal: gLN looks at the whole input, also at what is still to come; "
                "set norm_type to cLN"
            )
        if problems:
            raise ValueError("\n".join(problems))
        # Only the weights are SpeechBrain's, and those of its causal network the same.
        super().__init__(N, B, H, P, X, R, C, norm_type, False, mask_nonlinear)
        self.hidden_channels = H
        self.causal = causal
        self.reach = 0 if causal else 2 ** (X - 1) * (P // 2)  # to either side, frames
        if causal:
            self.run_block = causal_block
        else:
            is_global = norm_type == "gLN"
            self.run_block = global_norm_block if is_global else channelwise_norm_block

    def compile_blocks(self, **options):
        """Compile the block that repeats, once for all; options of torch.compile."""
        self.run_block = torch.compile(self.run_block, **options)

    def forward(self, mixture_w, history=None):
        """Masks of the sources.

        Arguments
        ---------
        mixture_w : torch.Tensor
            Frames [batch, filter, frame].
        history : list of torch.Tensor, optional
            For a causal network whose input comes in pieces: what ``start_history``
            gave before the first piece; updated in place.

        Returns
        -------
        torch.Tensor
            [source, batch, filter, frame].

        Raises
        ------
        ValueError
            If the frames are fewer than reflection needs.
        """
        if mixture_w.shape[2] <= self.reach:
            raise ValueError(
                f"expected at least {self.reach + 1} frames, which a dilated kernel "
                f"reflects; found {mixture_w.shape[2]}: pad the mixture"
            )
        if self.causal:
            return self._masks(mixture_w, history or self.start_history(mixture_w))
        hidden = self.hidden_channels * mixture_w.shape[2] * mixture_w.element_size()
        on_cpu = mixture_w.device.type == "cpu" and not torch.compiler.is_compiling()
        size = max(1, CACHED_BYTES // hidden) if on_cpu else len(mixture_w)
        parts = [self._masks(part) for part in mixture_w.split(size)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def start_history(self, mixture_w):
        """What the blocks of a causal network remember before any frame: silence."""
        frames = mixture_w.new_zeros(len(mixture_w), 0, self.hidden_channels)
        return [
            F.pad(frames, (0, 0, (taps.shape[1] - 1) * dilation, 0))
            for *_, taps, _, _, _, _, dilation in map(_block_arguments, self._blocks())
        ]

    def _blocks(self):
        return self.temporal_conv_net.values()

    def _masks(self, frames, history=None):
        device = frames.device.type
        dtype = frames.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        eps = conv_tasnet.EPS  # read here, since it may be patched
        with torch.autocast(device, enabled=False):
            x = frames.mT.to(statistics_dtype(frames.dtype))  # [batch, frame, filter]
            norm = self.layer_norm
            x = F.layer_norm(
                x, x.shape[2:], norm.gamma.flatten(), norm.beta.flatten(), eps
            )
            x = x.to(dtype) @ self.bottleneck_conv1x1.conv.weight.squeeze(2).to(dtype).T
            for index, block in enumerate(self._blocks()):
                arguments = (*_block_arguments(block), eps)
                if self.causal:
                    x, history[index] = self.run_block(x, history[index], *arguments)
                else:
                    x = self.run_block(x, *arguments)
            scores = x @ self.mask_conv1x1.conv.weight.squeeze(2).to(dtype).T
        scores = scores.unflatten(2, (self.C, -1))  # [batch, frame, source, filter]
        scores = scores.permute(2, 0, 3, 1)
        return scores.relu() if self.mask_nonlinear == "relu" else scores.softmax(2)


def _block_arguments(block):
    """Weights and dilation of SpeechBrain's ``TemporalBlock``, in the order it runs."""
    conv, act1, norm1, separable = block.layers.values()
    depthwise, act2, norm2, pointwise = separable.values()
    return (
        conv.conv.weight.squeeze(2),  # [hidden, bottleneck]
        *(act1.weight, norm1.gamma.flatten(), norm1.beta.flatten()),
        depthwise.conv.weight.squeeze(1),  # [hidden, tap]
        *(act2.weight, norm2.gamma.flatten(), norm2.beta.flatten()),
        pointwise.conv.weight.squeeze(2),  # [bottleneck, hidden]
        depthwise.dilation,
    )
