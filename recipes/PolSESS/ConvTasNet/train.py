#!/usr/bin/env python3
"""Train, resume and evaluate a ConvTasNet on PolSESS, in any task and MM-IPC variant.

> python train.py hparams/convtasnet.yaml --data_folder /path/to/PolSESS_C_both
> python train.py hparams/evaluate.yaml --data_folder ... --output_folder RUN

The same command again resumes from the last checkpoint, also within an epoch.
``train.py --help`` and ``train.py FILE.yaml --help`` list what can be set.
"""

import sys
from pathlib import Path

import speechbrain as sb
from hyperpyyaml import load_hyperpyyaml
from rich.console import Console
from speechbrain.core import DEFAULT_LOG_CONFIG
from speechbrain.utils.distributed import ddp_init_group, if_main_process, run_on_main
from speechbrain.utils.logger import get_logger

from polsess.config import parse_arguments
from polsess.dataset import make_datasets
from polsess.evaluation.scores import score_batch, summary_table, write_scores
from polsess.evaluation.validation import ValidationScores
from polsess.losses import has_silent_source, utterance_si_sdr
from polsess.manifest import prepare_polsess
from polsess.simulate.demo import make_demo_corpus
from polsess.training.brain import Brain
from polsess.training.resume import refuse_changes

logger = get_logger("train")


class Separation(Brain):
    """Tasks ES, EB and SB: enhancement is the separation of a single source."""

    def compute_forward(self, batch, stage):
        """From mixtures [batch, time] to estimates [batch, time, source]."""
        batch = batch.to(self.device)
        return {"estimate": self.modules.network(*batch.mixture)}

    def compute_objectives(self, predictions, batch, stage):
        """Negative SI-SDR in dB, permutation invariant; collects the scores."""
        target, lengths = batch.target
        si_sdr = utterance_si_sdr(predictions["estimate"], target, lengths)
        if stage == sb.Stage.VALID:
            self.valid_scores.add(si_sdr, batch)
        elif stage == sb.Stage.TEST:
            self.scores += score_batch(predictions["estimate"], batch, self.hparams)
        return -si_sdr[~has_silent_source(target)].mean()

    def on_fit_start(self):
        """Recovers; the log forgets what the checkpoint does not know."""
        super().on_fit_start()
        run_on_main(
            self.hparams.train_logger.rewind, [self.hparams.epoch_counter.current]
        )

    def on_stage_start(self, stage, epoch=None):
        """Empties what the stage collects."""
        super().on_stage_start(stage, epoch)
        self.valid_scores, self.scores = ValidationScores(self.hparams.task), []

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs; validation schedules the rate and saves, the test writes scores."""
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == sb.Stage.TRAIN:
            self.train_stats = {"si_sdr": -stage_loss}
            self.cost = self.stage_cost()
        elif stage == sb.Stage.VALID:
            scores = self.valid_scores.means()
            lr = self.optimizer.param_groups[0]["lr"]
            self.hparams.lr_scheduler.step(self.optimizer, scores["si_sdr"])
            self.hparams.epoch_counter.update_metric(scores["si_sdr"])
            self.hparams.train_logger.log_stats(
                {"epoch": epoch, "lr": lr, **self.cost},
                train_stats=self.train_stats,
                valid_stats=scores,
            )
            self.save_epoch(si_sdr=scores["si_sdr"], epoch=epoch)
        elif if_main_process():
            folder, task = self.hparams.scores_folder, self.hparams.task
            summary = write_scores(folder, self.scores, task)
            Console().print(summary_table(summary, f"{task}: means, SI-SDR in dB"))


def main(argv):
    """Prepare, train (or resume), and evaluate the best checkpoint."""
    hparams_yaml, run_opts = parse_arguments(argv)
    hparams = load_hyperpyyaml(hparams_yaml)
    test_only = run_opts.test_only or hparams.get("test_only", False)
    run_folder = Path(hparams["output_folder"])
    if not test_only:
        refuse_changes(run_folder, hparams_yaml)

    ddp_init_group(run_opts)
    sb.create_experiment_directory(
        hparams["scores_folder"] if test_only else run_folder,
        log_config=run_opts.log_config or DEFAULT_LOG_CONFIG,
    )
    if hparams["demo_corpus"]:
        run_on_main(make_demo_corpus, [hparams["data_folder"]])
    needed = ["test"] if test_only else ["train", hparams["valid_split"], "test"]
    run_on_main(
        prepare_polsess,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": hparams["manifest_folder"],
            "splits": list(dict.fromkeys(needed)),
            "audit": hparams["audit"],
            "on_fault": hparams["on_fault"],
        },
    )
    splits = ["test"] if test_only else ["train", "valid", "test"]
    datasets = make_datasets(hparams, splits)
    if not test_only and if_main_process():  # an evaluation leaves the run as it was
        file = run_folder / "hyperparams.yaml"
        file.write_text(hparams_yaml, encoding="utf-8")

    brain = Separation(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    loader_kwargs = {k: hparams[k] for k in ("batch_size", "num_workers")}
    if not test_only:
        brain.fit(
            hparams["epoch_counter"],
            datasets["train"],
            datasets["valid"],
            train_loader_kwargs={**loader_kwargs, "shuffle": True},
            valid_loader_kwargs=loader_kwargs,
        )
    brain.evaluate(datasets["test"], max_key="si_sdr", test_loader_kwargs=loader_kwargs)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:  # its text says what to do
        logger.debug("Stopped by an error", exc_info=True)  # to log.txt alone
        sys.exit(str(error))
