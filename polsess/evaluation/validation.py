"""The scores of a validation, which choose the best checkpoint."""

from statistics import fmean

from speechbrain.utils.logger import get_logger

from polsess.losses import has_silent_source, utterance_si_sdr
from polsess.variants import mixture_is_target

logger = get_logger(__name__)


class ValidationScores:
    """Collects SI-SDR, and its gain over the mixture, utterance by utterance.

    Arguments
    ---------
    task : str
        ES, EB or SB.
    """

    def __init__(self, task):
        self.task = task
        self.si_sdr = []
        self.si_sdri = []

    def add(self, si_sdr, batch):
        """Take in a batch; a silent target has no score and is named in the log.

        Arguments
        ---------
        si_sdr : torch.Tensor
            Of the estimates [batch] in dB.
        batch : PaddedBatch
            With the output keys of ``polsess.dataset.VariantDataset``.
        """
        target, lengths = batch.target
        mixture = batch.mixture.data.unsqueeze(-1).expand_as(target)
        gains = (si_sdr - utterance_si_sdr(mixture, target, lengths)).tolist()
        silent = has_silent_source(target).tolist()
        for i, score in enumerate(si_sdr.tolist()):
            if silent[i]:
                logger.warning(f"valid: {batch.id[i]} left out: its target is silent")
                continue
            self.si_sdr.append(score)
            if not mixture_is_target(self.task, batch.variant[i]):
                self.si_sdri.append(gains[i])

    def means(self):
        """Mean ``si_sdr`` and ``si_sdri`` in dB; NaN where no utterance has one."""
        return {
            name: fmean(scores) if scores else float("nan")
            for name, scores in (("si_sdr", self.si_sdr), ("si_sdri", self.si_sdri))
        }
