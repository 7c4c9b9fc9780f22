"""A mask-based separator that takes and gives signals of any length."""

import torch
import torch.nn.functional as F
from speechbrain.nnet.CNN import Conv1d

from polsess.padding import unpad


class Separator(torch.nn.Module):
    """Encoder, mask network and decoder as one network from mixture to estimates.

    The three parts follow SpeechBrain's dual-path interface, so that their weights
    also load in ``speechbrain.inference.separation.SepformerSeparation``.

    Luo, Mesgarani, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking
    for Speech Separation", IEEE/ACM TASLP 2019.

    Arguments
    ---------
    encoder : torch.nn.Module
        From samples [batch, time] to frames [batch, filter, frame].
    masknet : torch.nn.Module
        From frames to masks [source, batch, filter, frame].
    decoder : torch.nn.Module
        From frames [batch, filter, frame] to samples [batch, time].

    Example
    -------
    >>> from speechbrain.lobes.models.conv_tasnet import MaskNet
    >>> from speechbrain.lobes.models.dual_path import Decoder, Encoder
    >>> network = Separator(
    ...     Encoder(kernel_size=4, out_channels=8),
    ...     MaskNet(N=8, B=8, H=8, P=3, X=2, R=1, C=2),
    ...     Decoder(8, 1, kernel_size=4, stride=2, bias=False),
    ... )
    >>> network(torch.rand(3, 1)).shape  # a single sample, two sources
    torch.Size([3, 1, 2])
    """

    def __init__(self, encoder, masknet, decoder):
        super().__init__()
        self.encoder = encoder
        self.masknet = masknet
        self.decoder = decoder
        self.kernel_size = encoder.conv1d.kernel_size[0]
        self.stride = encoder.conv1d.stride[0]
        # Reflect padding of a convolution needs more frames than it adds on a side.
        self.min_frames = 1 + max(
            (layer.dilation * (layer.kernel_size - 1) // 2)
            for layer in masknet.modules()
            if isinstance(layer, Conv1d)
        )

    def forward(self, mixture):
        """Estimate the sources.

        Arguments
        ---------
        mixture : torch.Tensor
            What the network hears [batch, time].

        Returns
        -------
        torch.Tensor
            Estimates [batch, time, source], as long as the mixture.
        """
        num_samples = mixture.shape[1]
        frames = self.encoder(self._pad_to_frames(mixture))  # [batch, filter, frame]
        masks = self.masknet(frames)  # [source, batch, filter, frame]
        estimates = [self.decoder(frames * mask) for mask in masks]
        return torch.stack(estimates, dim=-1)[:, :num_samples]

    def _pad_to_frames(self, mixture):
        """Zeros at the end, up to a whole number of frames and no fewer than needed."""
        num_samples = mixture.shape[1]
        num_frames = 1 - (self.kernel_size - num_samples) // self.stride  # ceiling
        num_frames = max(num_frames, self.min_frames)
        padded = self.kernel_size + (num_frames - 1) * self.stride
        return F.pad(mixture, (0, padded - num_samples))


def separate_each(network, mixture, lengths):
    """Estimate the sources of each utterance by itself, so that no padding is heard.

    The norms of a network look at the whole input: within a batch of unequal lengths,
    what an utterance gives would depend on the others.

    Arguments
    ---------
    network : torch.nn.Module
        From mixtures [batch, time] to estimates [batch, time, source].
    mixture : torch.Tensor
        Padded mixtures [batch, time].
    lengths : torch.Tensor
        True lengths [batch] as fractions of the padded one, as SpeechBrain batches.

    Returns
    -------
    torch.Tensor
        Estimates [batch, time, source], zero where the mixture is padded.
    """
    mixtures = unpad(mixture, lengths)
    if min(map(len, mixtures)) == mixture.shape[1]:
        return network(mixture)
    estimates = [network(alone[None])[0] for alone in mixtures]
    return torch.nn.utils.rnn.pad_sequence(estimates, batch_first=True)
