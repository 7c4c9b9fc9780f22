"""SpeechBrain's epoch counter and plateau scheduler, with their traps taken out."""

import math

from speechbrain.nnet.schedulers import ReduceLROnPlateau, update_learning_rate
from speechbrain.utils.checkpoints import register_checkpoint_hooks
from speechbrain.utils.epoch_loop import EpochCounterWithStopper


@register_checkpoint_hooks
class EpochCounter(EpochCounterWithStopper):
    """Counts epochs up to ``limit`` in total, over all resumes, and may stop early.

    Arguments
    ---------
    limit : int
        Number of epochs.
    patience : int
        Epochs in a row without gain in SI-SDR after which training ends; 0: never.

    Example
    -------
    >>> counter = EpochCounter(limit=9, patience=2)
    >>> for epoch in counter:
    ...     counter.update_metric([-3.0, -2.0, -2.0, -2.5, 0.0][epoch - 1])
    >>> epoch
    4
    """

    def __init__(self, limit, patience=0):
        super().__init__(limit, patience or limit, limit_warmup=0, direction="max")
        # SpeechBrain's margin is relative to the best score: for a positive score it
        # takes an equal one, and even one slightly lower, for a gain.
        self.min_delta = 0.0


@register_checkpoint_hooks
class PlateauScheduler(ReduceLROnPlateau):
    """Multiplies the learning rate after epochs without gain in SI-SDR.

    Arguments
    ---------
    factor : float
        What the rate is multiplied by.
    patience : int
        Epochs in a row without gain after which that happens.

    Example
    -------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    >>> scheduler = PlateauScheduler(factor=0.5, patience=2)
    >>> for score in (1.0, 0.5, 0.9, 2.0):
    ...     scheduler.step(optimizer, score)
    ...     print(optimizer.param_groups[0]["lr"])
    1.0
    1.0
    0.5
    0.5
    """

    def __init__(self, factor=0.95, patience=2):
        # SpeechBrain waits for one epoch more than it is told, and by default lowers
        # nothing during the first 65.
        super().__init__(factor=factor, patience=patience - 1, dont_halve_until_epoch=0)
        self.anchor = math.inf

    def step(self, optimizer, si_sdr):
        """Update the optimizer's rate from an epoch's validation SI-SDR in dB."""
        epoch = len(self.losses) + 1
        # A plain float: a tensor or a numpy value could not be loaded on resume.
        _, lr = self([optimizer], epoch, -float(si_sdr))
        update_learning_rate(optimizer, lr)
