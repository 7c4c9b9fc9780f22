"""The training log: one line an epoch, in numbers that a person reads."""

import re
from pathlib import Path

from speechbrain.utils.train_logger import FileTrainLogger


class TrainLogger(FileTrainLogger):
    """SpeechBrain's, but -3.2 dB reads -3.20, and a resume repeats no epoch.

    Example
    -------
    >>> logger = TrainLogger(save_file="train_log.txt")
    >>> logger._stats_to_string({"epoch": 1, "lr": 0.001, "si_sdr": -3.2})
    'epoch: 1, lr: 1.00e-03, si_sdr: -3.20'
    """

    def _item_to_string(self, key, value, dataset=None):
        if isinstance(value, float) and 0.01 <= abs(value) < 1e4:
            value = f"{value:.{self.precision}f}"
        return super()._item_to_string(key, value, dataset)

    def rewind(self, epoch):
        """Drop the lines after an epoch, as a run must that resumes from its end.

        A run killed between log and checkpoint has logged what it will do again.
        """
        path = Path(self.save_file)
        lines = path.read_text("utf-8").splitlines(True) if path.exists() else []
        kept = [x for x in lines if int(re.match(r"epoch: (\d+)", x)[1]) <= epoch]
        if kept != lines:
            path.write_text("".join(kept), encoding="utf-8")
