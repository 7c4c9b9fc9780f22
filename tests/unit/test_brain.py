"""The Brain: what is not finite never reaches the weights, and averages are means."""

import math
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from speechbrain.utils.run_opts import RunOptions

from polsess.models.safety import NormEps
from polsess.training.brain import Brain


class Batch(SimpleNamespace):
    """A batch of numbers, as many utterances as numbers."""

    def __len__(self):
        return len(self.values)


class Line(Brain):
    """Fits one weight w; the loss of a batch is the mean of its values times w."""

    def compute_forward(self, batch, stage):
        return self.modules.line(torch.ones(1, 1)).squeeze() * batch.values

    def compute_objectives(self, predictions, batch, stage):
        return predictions.mean()


def make_brain(max_grad_norm=100.0, **options):
    line = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(line.weight)
    brain = Line(
        {"line": line},
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        {"eps": None, "norm_eps": NormEps(), "max_grad_norm": max_grad_norm},
        RunOptions.from_dictionary({"device": "cpu", **options}),
    )
    brain.train_set = SimpleNamespace(set_epoch=lambda epoch: None)
    brain.init_optimizers()
    return brain


def batches(*values):
    return [Batch(values=torch.tensor(v), id=[f"row{i}"]) for i, v in enumerate(values)]


def fit(brain, *values):
    brain.batches_per_epoch = len(values)
    brain.fit([1], _Loader(batches(*values)), progressbar=False)
    return brain.modules.line.weight.item()


class _Loader(torch.utils.data.DataLoader):
    def __init__(self, items):
        super().__init__(items, batch_size=None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_nonfinite_loss_is_skipped(bad, caplog):
    weight = fit(make_brain(), [1.0], [bad], [2.0])
    assert weight == pytest.approx(1 - 0.1 * (1 + 2))
    assert "Step 2: the loss is not finite" in caplog.text and "row1" in caplog.text


def test_a_nonfinite_gradient_is_skipped(caplog):
    brain = make_brain()
    brain.modules.line.weight.register_hook(
        lambda gradient: gradient if gradient.item() < 5 else gradient * math.inf
    )
    assert fit(brain, [1.0], [6.0], [2.0]) == pytest.approx(0.7)
    assert "Step 2: the gradient is not finite" in caplog.text


def test_patience_counts_in_a_row():
    brain = make_brain(nonfinite_patience=2)
    fit(brain, [math.nan], [1.0], [math.nan], [1.0], [math.nan])
    with pytest.raises(ValueError, match=r"in 2 batches in a row.*row1.*lr"):
        fit(brain, [math.nan], [math.nan])
    assert math.isfinite(brain.modules.line.weight.item())


def test_the_last_batches_of_an_epoch_are_not_dropped():
    brain = make_brain(grad_accumulation_factor=2)
    assert fit(brain, [1.0], [2.0], [4.0]) == pytest.approx(1 - 0.1 * (1 + 2 + 4) / 2)
    assert brain.optimizer_step == 2


def test_an_epoch_without_a_finite_batch_is_an_error():
    brain = make_brain(grad_accumulation_factor=2)
    with pytest.raises(ValueError, match="No batch of epoch 1 had a finite loss"):
        fit(brain, [math.nan], [math.nan])
    assert brain.modules.line.weight.item() == 1.0
    assert brain.optimizer_step == 0


def test_gradients_are_clipped():
    assert fit(make_brain(max_grad_norm=0.5), [3.0]) == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_no_scale_mends_end_a_half_precision_training(bad):
    brain = make_brain(nonfinite_patience=3)
    brain.scaler = torch.GradScaler("cpu")  # on a GPU SpeechBrain's own
    brain.modules.line.weight.register_hook(lambda gradient: gradient * bad)
    with pytest.raises(ValueError, match="gradient was not finite in 3 batches"):
        fit(brain, *[[1.0]] * 30)
    assert brain.scaler.get_scale() < 1, "halving it was tried"
    assert brain.optimizer_step == 0


def test_a_scale_that_is_too_high_at_first_is_no_fault():
    brain = make_brain(nonfinite_patience=1)
    brain.scaler = torch.GradScaler("cpu")
    brain.modules.line.weight.register_hook(
        lambda gradient: gradient if gradient.item() < 100 else gradient * math.inf
    )
    weight = fit(brain, *[[1.0]] * 12)
    assert brain.optimizer_step == 2, "the first ten scales, 65536 to 128, are too high"
    assert weight == pytest.approx(1 - 0.1 * 2)


def test_each_epoch_draws_afresh():
    brain = make_brain()
    epochs = []
    brain.train_set = SimpleNamespace(set_epoch=epochs.append)
    brain.batches_per_epoch = 1
    brain.fit([1, 2, 3], _Loader(batches([1.0])), progressbar=False)
    assert epochs == [1, 2, 3]


def test_the_average_loss_weighs_utterances_alike():
    brain = make_brain()
    seen = []
    brain.on_stage_end = lambda stage, loss, epoch: seen.append(loss)
    for group in brain.optimizer.param_groups:
        group["lr"] = 0.0
    brain.init_optimizers = lambda: None
    fit(brain, [1.0, 1.0, 1.0], [math.nan], [5.0])
    assert seen == [pytest.approx((1 + 1 + 1 + 5) / 4)]


def test_a_nonfinite_score_saves_nothing():
    brain = make_brain()
    with pytest.raises(ValueError, match="validation score si_sdr is nan"):
        brain.save_epoch(si_sdr=math.nan)


def test_its_counters_are_saved_and_recovered(tmp_path):
    brain = make_brain()
    state = {"step": 3, "avg_train_loss": -1.5, "num_averaged": 7, "optimizer_step": 2}
    vars(brain).update(state)
    brain._save(tmp_path / "brain.ckpt")
    fresh = make_brain()
    fresh._recover(tmp_path / "brain.ckpt", end_of_epoch=False)
    assert {name: getattr(fresh, name) for name in state} == state


def test_steps_between_checkpoints_switch_minutes_off():
    brain = make_brain(ckpt_interval_minutes=15, ckpt_interval_steps=2)
    assert brain.ckpt_interval_minutes == 0 and brain.ckpt_interval_steps == 2


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_precision_on_a_cpu(precision, caplog):
    caplog.set_level("INFO")
    brain = make_brain(precision=precision)
    assert brain.precision == {"fp16": "fp32"}.get(precision, precision)
    lines = [r for r in caplog.messages if "not possible on a CPU" in r]
    assert len(lines) == (precision == "fp16")
    assert brain.hparams.norm_eps.value == 1e-8


def test_evaluation_without_a_checkpoint_is_refused(tmp_path):
    brain = make_brain()
    brain.checkpointer = sb.utils.checkpoints.Checkpointer(tmp_path)
    with pytest.raises(ValueError, match="No checkpoint with a score si_sdr"):
        brain.on_evaluate_start(max_key="si_sdr")
