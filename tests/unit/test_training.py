"""What a run keeps between its starts: schedule, checkpoints, log, configuration."""

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer

from polsess.config import ConfigError
from polsess.training.checkpoints import AtomicCheckpointer
from polsess.training.logger import TrainLogger
from polsess.training.resume import refuse_changes
from polsess.training.schedule import EpochCounter, PlateauScheduler


def train(counter, scores):
    """Epochs that a counter gives until it ends."""
    epochs = []
    for epoch in counter:
        epochs.append(epoch)
        counter.update_metric(scores[epoch - 1])
    return epochs


def test_early_stopping_survives_a_resume(tmp_path):
    scores = [1.0, 1.0, 0.999999, 2.0, 3.0]
    whole = EpochCounter(5, patience=2)
    assert train(whole, scores) == [1, 2, 3]

    killed = EpochCounter(2, patience=2)
    train(killed, scores)
    killed._save(tmp_path / "counter")
    resumed = EpochCounter(5, patience=2)
    resumed._recover(tmp_path / "counter", end_of_epoch=True)
    assert train(resumed, scores) == [3]

    whole._save(tmp_path / "counter")
    again, patient = EpochCounter(5, patience=2), EpochCounter(5, patience=3)
    for counter in (again, patient):
        counter._recover(tmp_path / "counter", end_of_epoch=True)
    assert train(again, scores) == [], "it has ended"
    assert train(patient, scores) == [4, 5], "unless more patience is asked"


def test_without_patience_nothing_stops_early():
    assert train(EpochCounter(4), [0.0] * 4) == [1, 2, 3, 4]


def test_an_epoch_is_repeated_when_it_was_not_over(tmp_path):
    counter = EpochCounter(5)
    next(counter), next(counter)
    counter._save(tmp_path / "counter")
    resumed = EpochCounter(5)
    resumed._recover(tmp_path / "counter", end_of_epoch=False)
    assert next(resumed) == 2


@pytest.mark.parametrize("killed_after", [1, 2, 3, 4])
def test_the_learning_rate_survives_a_resume(tmp_path, killed_after):
    scores = [1.0, 0.0, 0.0, 0.5, 1.0, 2.0]
    expected = [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = PlateauScheduler(factor=0.5, patience=2)
    rates = []
    for epoch, score in enumerate(scores):
        if epoch == killed_after:
            scheduler._save(tmp_path / "scheduler")
            scheduler = PlateauScheduler(factor=0.5, patience=2)
            scheduler._recover(tmp_path / "scheduler", end_of_epoch=True)
        scheduler.step(optimizer, score)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == expected


class Fragile:
    """Something to save that may fail half-way."""

    fails = False


def save_fragile(obj, path):
    path.write_text("half")
    if obj.fails:
        raise OSError("disk full")
    path.write_text("whole")


def make_checkpointer(folder, cls=AtomicCheckpointer):
    obj = Fragile()
    checkpointer = cls(folder)
    loaded = []
    checkpointer.add_recoverable(
        "fragile",
        obj,
        custom_save_hook=save_fragile,
        custom_load_hook=lambda obj, path, end: loaded.append(path.read_text()),
    )
    return checkpointer, obj, loaded


@pytest.mark.parametrize(
    ("cls", "survivors"), [(AtomicCheckpointer, 1), (Checkpointer, 2)]
)
def test_a_save_cut_off_is_no_checkpoint(tmp_path, cls, survivors):
    """The second case is SpeechBrain's own: why ours exists."""
    checkpointer, obj, loaded = make_checkpointer(tmp_path, cls)
    checkpointer.save_checkpoint(meta={"si_sdr": 1.0})
    obj.fails = True
    with pytest.raises(OSError, match="disk full"):
        checkpointer.save_checkpoint(meta={"si_sdr": 2.0})
    assert len(checkpointer.list_checkpoints()) == survivors
    checkpointer.recover_if_possible()
    assert loaded == ["whole" if cls is AtomicCheckpointer else "half"]


def test_the_best_and_the_last_are_kept(tmp_path):
    checkpointer, _, _ = make_checkpointer(tmp_path)
    for score in (1.0, 3.0, 2.0, 2.5):
        checkpointer.save_and_keep_only(
            meta={"si_sdr": score}, max_keys=["si_sdr"], importance_keys=[]
        )
    kept = {c.meta["si_sdr"] for c in checkpointer.list_checkpoints()}
    assert kept == {3.0, 2.5}
    assert checkpointer.find_checkpoint(max_key="si_sdr").meta["si_sdr"] == 3.0


def test_the_log_repeats_no_epoch(tmp_path):
    logger = TrainLogger(tmp_path / "train_log.txt")
    logger.rewind(0)
    for epoch in range(1, 12):
        logger.log_stats({"epoch": epoch, "lr": 0.1}, verbose=False)
    logger.rewind(9)
    lines = (tmp_path / "train_log.txt").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"epoch: {e}" for e in range(1, 10)
    ]


RUN = """\
seed: 42
data_folder: /corpus
output_folder: {folder}
lr: 0.001
batch_size: 4
number_of_epochs: 10
opt_class: !name:torch.optim.Adam
    lr: !ref <lr>
"""


def test_a_run_is_resumed_as_it_was_or_not_at_all(tmp_path):
    text = RUN.format(folder=tmp_path)
    refuse_changes(tmp_path, text)
    (tmp_path / "hyperparams.yaml").write_text(text)
    other = text.replace("0.001", "0.5").replace("size: 4", "size: 8")
    refuse_changes(tmp_path, other)  # no checkpoint: nothing to lose
    (tmp_path / "save" / "CKPT+1").mkdir(parents=True)
    refuse_changes(tmp_path, text)
    refuse_changes(tmp_path, text.replace("/corpus", "/moved").replace("10", "20"))
    with pytest.raises(ConfigError) as refusal:
        refuse_changes(tmp_path, other)
    problems = refusal.value.problems
    assert len(problems) == 2
    assert problems[0].startswith(f"lr: the run in {tmp_path} has 0.001, found 0.5;")
    assert problems[1].startswith(f"batch_size: the run in {tmp_path} has 4, found 8;")
