"""Checkpoints that are there whole or not at all."""

import logging
import shutil

from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's Checkpointer, saving aside and renaming.

    SpeechBrain writes into the final folder: one cut off by a kill counts as the newest
    checkpoint, and every later resume crashes on it.
    """

    def save_checkpoint(self, *args, verbosity=logging.INFO, **kwargs):
        """As SpeechBrain's; returns the Checkpoint on the main process."""
        if if_main_process():  # a kill may have left something
            shutil.rmtree(self.checkpoints_dir / ".saving", ignore_errors=True)
        saved = super().save_checkpoint(*args, verbosity=logging.DEBUG, **kwargs)
        if saved is None:  # not the main process
            return None
        path = saved.path.rename(self.checkpoints_dir / saved.path.name)
        saved.path.parent.rmdir()
        logger.log(verbosity, f"Saved a checkpoint in {path}")
        paramfiles = {name: path / p.name for name, p in saved.paramfiles.items()}
        return saved._replace(path=path, paramfiles=paramfiles)

    def _new_checkpoint_dirpath(self):
        return self._aside(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name):
        return self._aside(super()._custom_checkpoint_dirpath(name))

    def _aside(self, path):
        return self.checkpoints_dir / ".saving" / path.name
