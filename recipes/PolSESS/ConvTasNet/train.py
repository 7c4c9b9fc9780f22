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

from polsess.config import parse_arguments
from polsess.dataset import make_datasets
from polsess.evaluation.scores import score_batch, summary_table, write_scores
from polsess.faults import CorpusError
from polsess.losses import utterance_si_sdr
from polsess.manifest import prepare_polsess
from polsess.simulate.demo import make_demo_corpus
from polsess.training.brain import Brain
from polsess.variants import mixture_is_target


class Separation(Brain):
    """Tasks ES, EB and SB: enhancement is the separation of a single source."""

    def compute_forward(self, batch, stage):
        """From mixtures [batch, time] to estimates [batch, time, source]."""
        batch = batch.to(self.device)
        return {"estimate": self.modules.network(batch.mixture.data)}

    def compute_objectives(self, predictions, batch, stage):
        """Negative SI-SDR in dB, permutation invariant; collects the scores."""
        target, lengths = batch.target
        si_sdr = utterance_si_sdr(predictions["estimate"], target, lengths)
        if stage == sb.Stage.VALID:
            self.collect_gains(si_sdr, batch)
        elif stage == sb.Stage.TEST:
            self.scores += score_batch(predictions["estimate"], batch, self.hparams)
        return -si_sdr.mean()

    def on_stage_start(self, stage, epoch=None):
        """Empties what the stage collects."""
        super().on_stage_start(stage, epoch)
        self.si_sdr, self.si_sdri, self.scores = [], [], []

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs; validation schedules the rate and saves, the test writes scores."""
        if stage == sb.Stage.TRAIN:
            self.train_stats = {"si_sdr": -stage_loss}
            self.cost = self.stage_cost()
        elif stage == sb.Stage.VALID:
            si_sdr = sum(self.si_sdr) / len(self.si_sdr)
            lr = self.optimizer.param_groups[0]["lr"]
            self.hparams.lr_scheduler.step(self.optimizer, si_sdr)
            self.hparams.epoch_counter.update_metric(si_sdr)
            self.hparams.train_logger.log_stats(
                {"epoch": epoch, "lr": lr, **self.cost},
                train_stats=self.train_stats,
                valid_stats={"si_sdr": si_sdr, "si_sdri": self.mean_gain()},
            )
            self.save_epoch(si_sdr=si_sdr, epoch=epoch)
        elif if_main_process():
            folder, task = self.hparams.scores_folder, self.hparams.task
            summary = write_scores(folder, self.scores, task)
            Console().print(summary_table(summary, f"{task}: means, SI-SDR in dB"))

    def collect_gains(self, si_sdr, batch):
        """Keep SI-SDR, and its gain over the mixture, of each validation utterance."""
        target, lengths = batch.target
        mixture = batch.mixture.data.unsqueeze(-1).expand_as(target)
        gains = si_sdr - utterance_si_sdr(mixture, target, lengths)
        self.si_sdr += si_sdr.tolist()
        self.si_sdri += [
            gain
            for gain, variant in zip(gains.tolist(), batch.variant, strict=True)
            if not mixture_is_target(self.hparams.task, variant)
        ]

    def mean_gain(self):
        """Mean validation SI-SDRi in dB; NaN when every mixture was its target."""
        return sum(self.si_sdri) / len(self.si_sdri) if self.si_sdri else float("nan")


def main(argv):
    """Prepare, train (or resume), and evaluate the best checkpoint."""
    hparams_yaml, run_opts = parse_arguments(argv)
    hparams = load_hyperpyyaml(hparams_yaml)
    test_only = run_opts.test_only or hparams.get("test_only", False)

    ddp_init_group(run_opts)
    sb.create_experiment_directory(
        hparams["scores_folder"] if test_only else hparams["output_folder"],
        log_config=run_opts.log_config or DEFAULT_LOG_CONFIG,
    )
    if not test_only and if_main_process():  # an evaluation leaves the run as it was
        path = Path(hparams["output_folder"]) / "hyperparams.yaml"
        path.write_text(hparams_yaml, encoding="utf-8")

    if hparams["demo_corpus"]:
        run_on_main(make_demo_corpus, [hparams["data_folder"]])
    splits = ["test"] if test_only else ["train", "valid", "test"]
    run_on_main(
        prepare_polsess,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": hparams["manifest_folder"],
            "splits": splits,
            "audit": hparams["audit"],
            "on_fault": hparams["on_fault"],
        },
    )
    datasets = make_datasets(hparams, splits)

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
    except CorpusError as error:
        sys.exit(str(error))
