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
        From frames to masks [source, batch, filter, frame]; ours or SpeechBrain's.
    decoder : torch.nn.Module
        From frames [batch, filter, frame] to samples [batch, time].

    Example
    -------
    >>> from polsess.models.masknet import MaskNet
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
        self.causal = getattr(masknet, "causal", False)
        # Reflect padding of a convolution needs more frames than it adds on a side.
        self.min_frames = 1 + max(
            0 if self.causal else layer.dilation * (layer.kernel_size - 1) // 2
            for layer in masknet.modules()
            if isinstance(layer, Conv1d)
        )

    def forward(self, mixture, lengths=None):
        """Estimate the sources.

        Arguments
        ---------
        mixture : torch.Tensor
            What the network hears [batch, time].
        lengths : torch.Tensor, optional
            True lengths [batch] as fractions of the padded one, as SpeechBrain
            batches. No padding is heard then: the norms look at the whole input, so
            utterances of one length go together and others by themselves.

        Returns
        -------
        torch.Tensor
            Estimates [batch, time, source], as long as the mixture and zero where it
            is padded.
        """
        if lengths is None:
            return self._separate(mixture)
        mixtures = unpad(mixture, lengths)
        by_length = {}
        for index, alone in enumerate(mixtures):
            by_length.setdefault(len(alone), []).append(index)
        if set(by_length) == {mixture.shape[1]}:
            return self._separate(mixture)
        estimates = [None] * len(mixtures)
        for num_samples, indices in by_length.items():
            together = self._separate(mixture[indices, :num_samples])
            for index, estimate in zip(indices, together, strict=True):
                padding = mixture.shape[1] - num_samples
                estimates[index] = F.pad(estimate, (0, 0, 0, padding))
        return torch.stack(estimates)

    def _separate(self, mixture):
        num_samples = mixture.shape[1]
        padding = self.padded_length(num_samples) - num_samples
        frames = self.encode(F.pad(mixture, (0, padding)))
        return self.decode(frames, self.masknet(frames))[:, :num_samples]

    def encode(self, mixture):
        """Frames [batch, filter, frame] of samples [batch, time], as the encoder's.

        As a product: PyTorch's convolutions of one channel are slow on a CPU, and this
        leaves the filters of a frame together in memory, as the blocks want them.
        """
        windows = mixture.unfold(1, self.kernel_size, self.stride)
        return F.relu(windows @ self.encoder.conv1d.weight.squeeze(1).mT).mT

    def padded_length(self, num_samples):
        """Samples of a whole number of frames, no fewer of them than needed."""
        num_frames = 1 - (self.kernel_size - num_samples) // self.stride  # ceiling
        num_frames = max(num_frames, self.min_frames)
        return self.kernel_size + (num_frames - 1) * self.stride

    def decode(self, frames, masks):
        """Samples [batch, time, source] of masked frames, as the decoder's.

        Arguments
        ---------
        frames : torch.Tensor
            Of the mixture [batch, filter, frame].
        masks : torch.Tensor
            [source, batch, filter, frame].
        """
        windows = (frames * masks).mT @ self.decoder.weight.squeeze(1)
        first, second = windows.split(self.stride, dim=-1)  # a window is two strides
        first, second = F.pad(first, (0, 0, 0, 1)), F.pad(second, (0, 0, 1, 0))
        return (first + second).flatten(2).permute(1, 2, 0)
