"""A causal network at work on a signal that is still arriving."""

import torch


class Stream:
    """Separates a signal piece by piece, to the same estimates as all of it at once.

    An estimate follows its sample as soon as the last frame that holds the sample is
    complete, after ``kernel_size`` samples at most.

    Arguments
    ---------
    network : polsess.models.convtasnet.Separator
        Causal.

    Raises
    ------
    ValueError
        If the network is not causal.

    Example
    -------
    >>> from speechbrain.lobes.models.dual_path import Decoder, Encoder
    >>> from polsess.models.convtasnet import Separator
    >>> from polsess.models.masknet import MaskNet
    >>> network = Separator(
    ...     Encoder(kernel_size=4, out_channels=8),
    ...     MaskNet(8, 4, 6, P=3, X=2, R=1, C=1, norm_type="cLN", causal=True),
    ...     Decoder(8, 1, kernel_size=4, stride=2, bias=False),
    ... )
    >>> stream, mixture = Stream(network), torch.rand(1, 9)
    >>> pieces = [stream.push(mixture[:, :5]), stream.push(mixture[:, 5:])]
    >>> estimate = torch.cat([*pieces, stream.finish()], dim=1)
    >>> torch.allclose(estimate, network(mixture), atol=1e-6)
    True
    """

    def __init__(self, network):
        if not network.causal:
            raise ValueError(
                "expected a causal network; found one that looks at the whole input: "
                "train hparams/causal.yaml, or separate whole files"
            )
        self.network = network
        self.overlap = network.kernel_size - network.stride  # of two frames, samples
        self.num_given = 0  # samples of estimates so far
        self.pending = None  # samples of the mixture that no frame has left behind
        self.tail = None  # of the estimates, where frames to come will add to
        self.history = None

    @torch.no_grad()
    def push(self, mixture):
        """Hear more of the mixture.

        Arguments
        ---------
        mixture : torch.Tensor
            The next samples [batch, time], as many as there are.

        Returns
        -------
        torch.Tensor
            The next samples of the estimates [batch, time, source]; none, as long as
            no frame is complete.
        """
        network = self.network
        if self.pending is None:
            self.pending = mixture[:, :0]
            num_sources = network.masknet.C
            self.tail = mixture.new_zeros(len(mixture), self.overlap, num_sources)
        self.pending = torch.cat([self.pending, mixture], dim=1)
        num_frames = (self.pending.shape[1] - self.overlap) // network.stride
        if num_frames < 1:
            return self.tail[:, :0]
        complete = num_frames * network.stride
        frames = network.encode(self.pending[:, : complete + self.overlap])
        if self.history is None:
            self.history = network.masknet.start_history(frames)
        estimates = network.decode(frames, network.masknet(frames, self.history))
        estimates[:, : self.overlap] += self.tail
        self.tail = estimates[:, complete:]
        self.pending = self.pending[:, complete:]
        self.num_given += complete
        return estimates[:, :complete]

    @torch.no_grad()
    def finish(self):
        """The samples that are left, as the mixture ends [batch, time, source]."""
        if self.pending is None:
            raise ValueError(
                "expected samples before the end of the stream; found none"
            )
        num_left = self.pending.shape[1]
        padded = self.network.padded_length(self.num_given + num_left) - self.num_given
        padding = torch.zeros_like(self.pending[:, :1]).expand(-1, padded - num_left)
        last = [self.push(padding), self.tail]
        return torch.cat(last, dim=1)[:, :num_left]
