"""The variance floor of SpeechBrain's ConvTasNet norms, as a part of the model.

SpeechBrain adds the module constant ``EPS = 1e-8`` to each variance. In half
precision that is 0, a silent frame becomes 0/0, and nearly every gradient NaN.
A larger EPS mends it, but changes what the weights compute: it is hidden state,
so it is saved and recovered with them.
"""

import json
from pathlib import Path

import torch
from speechbrain.lobes.models import conv_tasnet
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

STOCK_EPS = 1e-8
HALF_PRECISION_EPS = 1e-4


@register_checkpoint_hooks
class NormEps:
    """Sets the EPS of the norms, and travels in the checkpoint.

    Example
    -------
    >>> norm_eps = NormEps()
    >>> norm_eps.choose(eps=None, precision="fp16")
    >>> norm_eps.value
    0.0001
    >>> norm_eps.choose(eps=None, precision="fp32")
    >>> norm_eps.value
    1e-08
    """

    @property
    def value(self):
        """The EPS in force."""
        return conv_tasnet.EPS

    def fit_half_precision(self):
        """Patch an EPS that is 0 in fp16, as of a checkpoint trained in fp32."""
        if torch.tensor(self.value, dtype=torch.float16) == 0:
            logger.warning(
                f"EPS of the norms: {HALF_PRECISION_EPS:g}, since the checkpoint's "
                f"{self.value:g} is 0 in fp16"
            )
            conv_tasnet.EPS = HALF_PRECISION_EPS

    def choose(self, eps, precision):
        """Patch EPS: as asked, or by the precision of training when ``eps`` is None."""
        if eps is None:
            eps = HALF_PRECISION_EPS if precision == "fp16" else STOCK_EPS
        conv_tasnet.EPS = float(eps)

    @mark_as_saver
    def _save(self, path):
        Path(path).write_text(json.dumps({"eps": self.value}), encoding="utf-8")

    @mark_as_loader
    def _recover(self, path, end_of_epoch):
        del end_of_epoch  # the same at any time
        eps = json.loads(Path(path).read_text(encoding="utf-8"))["eps"]
        if eps != self.value:
            logger.info(f"EPS of the norms: {eps:g}, as the checkpoint was trained")
        conv_tasnet.EPS = eps
