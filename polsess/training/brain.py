"""What every training here needs and SpeechBrain's Brain leaves open.

A Brain whose weights a non-finite batch cannot touch, whose averages weigh every
utterance alike, and which resumes within an epoch.
"""

import logging
import math
import sys
import time

import speechbrain as sb
import torch
import yaml
from speechbrain.core import INTRA_EPOCH_CKPT_FLAG
from speechbrain.utils.checkpoints import (
    ckpt_recency,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_all_reduce
from speechbrain.utils.logger import get_logger
from speechbrain.utils.run_opts import RunOptions

from polsess.memory import keep_freed_memory
from polsess.training.options import resolve_run_options

try:
    import resource
except ImportError:  # Windows
    resource = None

logger = get_logger(__name__)


@register_checkpoint_hooks
class Brain(sb.Brain):
    """SpeechBrain's Brain, made safe; subclasses override its hooks as usual.

    Takes SpeechBrain's arguments. The batch needs an ``id``; the train set needs
    ``set_epoch``; ``hparams`` needs ``eps`` and ``norm_eps``.
    """

    def __init__(
        self, modules, opt_class=None, hparams=None, run_opts=None, checkpointer=None
    ):
        run_opts, hparams = resolve_run_options(run_opts or RunOptions(), hparams)
        super().__init__(modules, opt_class, hparams, run_opts, checkpointer)
        if self.device_type == "cpu":
            keep_freed_memory()
        self.hparams.norm_eps.choose(self.hparams.eps, self.precision)
        self.nonfinite_count = 0  # in a row
        self.num_averaged = 0  # utterances in the running average of the loss
        self.train_set = None
        self.batches_per_epoch = None

    def make_dataloader(self, dataset, stage, **loader_kwargs):
        """SpeechBrain's, remembering what an epoch of training consists of."""
        loader = super().make_dataloader(dataset, stage, **loader_kwargs)
        if stage == sb.Stage.TRAIN:
            self.train_set = dataset
            self.batches_per_epoch = len(loader)
        return loader

    def _compile(self):
        """Compile the blocks that repeat, where a module says which, not all of it.

        The time until the first step is that of one block then.
        """
        regions = [m for m in self.modules.modules() if hasattr(m, "compile_blocks")]
        if not (self.compile and regions) or self.compile_module_keys is not None:
            super()._compile()
            return
        for region in regions:
            region.compile_blocks(
                mode=self.compile_mode,
                fullgraph=self.compile_using_fullgraph,
                dynamic=self.compile_using_dynamic_shape_tracing,
            )

    def fit_batch(self, batch):
        """Fit one batch, unless its loss is not finite.

        SpeechBrain's would call backward and step all the same, after which every
        weight is NaN; and it would drop the batches after an epoch's last full
        accumulation.
        """
        should_step = (
            self.step % self.grad_accumulation_factor == 0
            or self.step == self.batches_per_epoch
        )
        self.batch_ids = batch.id
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
            if self._all_finite(loss):
                self.scaler.scale(loss / self.grad_accumulation_factor).backward()
            else:
                self._count_nonfinite("loss")
        if should_step:
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        self.num_in_batch = len(batch)
        return loss.detach().cpu()

    def optimizers_step(self):
        """Clip and step, unless a gradient is not finite."""
        if all(p.grad is None for p in self.modules.parameters()):
            return  # every batch of the accumulation was skipped
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(
            self.modules.parameters(), self.max_grad_norm
        )
        if torch.isfinite(norm):
            self.scaler.step(self.optimizer)
            self.optimizer_step += 1
            self.nonfinite_count = 0
        # In fp16 the scale starts too high and is halved, here, until gradients fit.
        elif not self.scaler.is_enabled() or self.scaler.get_scale() < 1:
            self._count_nonfinite("gradient")
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def evaluate_batch(self, batch, stage):
        """SpeechBrain's, counting the utterances."""
        self.num_in_batch = len(batch)
        return super().evaluate_batch(batch, stage)

    def update_average(self, loss, avg_loss):
        """Mean over utterances; SpeechBrain's is one over batches, small ones too."""
        if self.step == 1:
            self.num_averaged = 0
        if not torch.isfinite(loss):
            return avg_loss
        self.num_averaged += self.num_in_batch
        return avg_loss + (float(loss) - avg_loss) * self.num_in_batch / (
            self.num_averaged
        )

    def _all_finite(self, loss):
        finite = torch.isfinite(loss.detach()).to(torch.int32)
        # Ranks must agree: one that skips backward alone would block the others.
        return bool(ddp_all_reduce(finite, torch.distributed.ReduceOp.MIN))

    def _count_nonfinite(self, what):
        self.nonfinite_count += 1
        ids = ", ".join(self.batch_ids)
        logger.warning(
            f"Step {self.step}: the {what} is not finite; the batch is skipped "
            f"({self.nonfinite_count} in a row): {ids}"
        )
        if self.nonfinite_count >= self.nonfinite_patience:
            raise ValueError(
                f"The {what} was not finite in {self.nonfinite_count} batches in a "
                f"row (nonfinite_patience), last for {ids}. Likely "
                "causes: a learning rate too high (lr), half precision (try "
                "--precision bf16 or fp32), non-finite audio (prepare the corpus "
                "with --audit full). The checkpoints hold finite weights."
            )

    def on_stage_start(self, stage, epoch=None):
        """Starts the clocks; in training, lets the variants be drawn afresh."""
        if stage == sb.Stage.TRAIN:
            self.train_set.set_epoch(epoch)
        self.stage_start = time.perf_counter(), self.step
        if self.device_type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Ends a training that learns nothing; subclasses call it first.

        Raises
        ------
        ValueError
            If no batch of a training epoch had a finite loss.
        """
        if stage == sb.Stage.TRAIN and not self.num_averaged:
            raise ValueError(
                f"No batch of epoch {epoch} had a finite loss, so nothing was learned. "
                "Prepare the corpus with --audit full, which finds non-finite audio."
            )

    def stage_cost(self):
        """Seconds per batch of the stage, and the peak memory in GB.

        On a GPU its own allocated memory since the stage began; on a CPU the process's
        resident memory since the process began, unknown on Windows.
        """
        start, first_step = self.stage_start
        num_batches = max(self.step - first_step, 1)
        if self.device_type == "cuda":
            peak_bytes = torch.cuda.max_memory_allocated()
        elif resource is None:
            peak_bytes = math.nan
        else:  # kilobytes, but bytes on macOS
            unit = 1 if sys.platform == "darwin" else 1024
            peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {
            "seconds_per_batch": (time.perf_counter() - start) / num_batches,
            "peak_memory_gb": peak_bytes / 1e9,
        }

    def on_fit_start(self):
        """SpeechBrain's, which recovers; an EPS that fp16 needs outranks the saved."""
        super().on_fit_start()
        if self.precision == "fp16":
            self.hparams.norm_eps.fit_half_precision()

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Loads the best checkpoint.

        Raises
        ------
        ValueError
            If there is none: SpeechBrain would evaluate random weights in silence.
        """
        found = self.checkpointer.recover_if_possible(max_key=max_key, min_key=min_key)
        if found is None:
            raise ValueError(
                f"No checkpoint with a score {max_key or min_key} in "
                f"{self.checkpointer.checkpoints_dir}: train to the end of an epoch "
                "first, or set output_folder to a run that was"
            )
        logger.info(f"Evaluating the checkpoint {found.path.name}: {found.meta}")
        if self.eval_precision == "fp16":
            self.hparams.norm_eps.fit_half_precision()

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        # Partly accumulated gradients are in no checkpoint.
        return (
            self.step % self.grad_accumulation_factor == 0
            and super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)
        )

    def _save_intra_epoch_ckpt(self):
        self.checkpointer.save_and_keep_only(
            end_of_epoch=False,
            meta={INTRA_EPOCH_CKPT_FLAG: True},
            ckpt_predicate=lambda ckpt: INTRA_EPOCH_CKPT_FLAG in ckpt.meta,
            importance_keys=[],  # SpeechBrain's default list grows with every call
            verbosity=logging.DEBUG,
        )

    def save_epoch(self, **scores):
        """Save the end of an epoch; keep the last one and the best by ``si_sdr``.

        Raises
        ------
        ValueError
            If a score is not finite: it must not displace the best checkpoint.
        """
        for name, score in scores.items():
            if not math.isfinite(score):
                raise ValueError(
                    f"The validation score {name} is {score}, so nothing is saved and "
                    "training stops; earlier checkpoints are kept. Either training has "
                    "diverged (lower lr, try --precision bf16 or fp32), or validation "
                    "audio is not finite (prepare the corpus with --audit full)."
                )
        self.checkpointer.save_and_keep_only(
            meta={name: float(score) for name, score in scores.items()},
            max_keys=["si_sdr"],
            importance_keys=[ckpt_recency],
            keep_recent=False,  # it would append to the list above
        )

    @mark_as_saver
    def _save(self, path):
        state = {
            "step": self.step,
            "avg_train_loss": self.avg_train_loss,
            "num_averaged": self.num_averaged,
            "optimizer_step": self.optimizer_step,
        }
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(state, file)

    @mark_as_loader
    def _recover(self, path, end_of_epoch):
        del end_of_epoch  # the counters are 0 then
        with open(path, encoding="utf-8") as file:
            vars(self).update(yaml.safe_load(file))
