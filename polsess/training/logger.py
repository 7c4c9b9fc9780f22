"""The training log, in numbers that a person reads."""

from speechbrain.utils.train_logger import FileTrainLogger


class TrainLogger(FileTrainLogger):
    """SpeechBrain's, but -3.2 dB reads -3.20 rather than -3.20e+00.

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
