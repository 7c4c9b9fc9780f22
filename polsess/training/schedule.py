"""When training slows down and when it ends, from the validation SI-SDR.

SpeechBrain's ReduceLROnPlateau takes an equal score for a gain, waits an epoch longer
than told, and raises rates below 1e-8; its EpochCounterWithStopper takes a slightly
lower positive score for a gain. Both classes here state the plain rule instead.
"""

import json
import math
from pathlib import Path

from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.epoch_loop import EpochCounter as PlainEpochCounter
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)


class Plateau:
    """The best score so far, and for how many updates in a row there was no gain.

    Example
    -------
    >>> plateau = Plateau()
    >>> for score in (-3.0, -2.0, -2.0, -2.5):
    ...     plateau.update(score)
    >>> plateau.best, plateau.num_bad
    (-2.0, 2)
    """

    def __init__(self):
        self.best = -math.inf
        self.num_bad = 0

    def update(self, score):
        """Take in a score; only a higher one is a gain."""
        if score > self.best:
            self.best, self.num_bad = float(score), 0
        else:
            self.num_bad += 1


@register_checkpoint_hooks
class EpochCounter(PlainEpochCounter):
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
        super().__init__(limit)
        self.patience = patience
        self.plateau = Plateau()

    def __next__(self):
        if self.patience and self.plateau.num_bad >= self.patience:
            logger.info(f"No gain in {self.plateau.num_bad} epochs: training ends")
            raise StopIteration
        return super().__next__()

    def update_metric(self, si_sdr):
        """Take in an epoch's validation SI-SDR in dB."""
        self.plateau.update(si_sdr)

    @mark_as_saver
    def _save(self, path):
        _write(path, {"epoch": self.current, **vars(self.plateau)})

    @mark_as_loader
    def _recover(self, path, end_of_epoch):
        state = _read(path)
        epoch = state.pop("epoch")
        self.current = epoch if end_of_epoch else epoch - 1
        vars(self.plateau).update(state)


@register_checkpoint_hooks
class PlateauScheduler:
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
    >>> for score in (1.0, 1.0, 0.9, 2.0):
    ...     scheduler.step(optimizer, score)
    ...     print(optimizer.param_groups[0]["lr"])
    1.0
    1.0
    0.5
    0.5
    """

    def __init__(self, factor=0.95, patience=2):
        self.factor = factor
        self.patience = patience
        self.plateau = Plateau()

    def step(self, optimizer, si_sdr):
        """Update the optimizer's rate from an epoch's validation SI-SDR in dB."""
        self.plateau.update(si_sdr)
        if self.plateau.num_bad >= self.patience:
            self.plateau.num_bad = 0
            lr = optimizer.param_groups[0]["lr"] * self.factor
            update_learning_rate(optimizer, lr)

    @mark_as_saver
    def _save(self, path):
        _write(path, vars(self.plateau))

    @mark_as_loader
    def _recover(self, path, end_of_epoch):
        del end_of_epoch  # the same within an epoch as before it
        vars(self.plateau).update(_read(path))


def _write(path, state):
    Path(path).write_text(json.dumps(state), encoding="utf-8")


def _read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))
