"""SI-SDR against signals whose distortion is known, and its behaviour at the edges."""

import math

import pytest
import torch

from polsess.losses import best_permutation, reorder, si_sdr, utterance_si_sdr

TIME = torch.arange(8000)
TARGET = torch.sin(2 * math.pi * 100 / 8000 * TIME)  # whole periods: orthogonal,
NOISE = torch.sin(2 * math.pi * 300 / 8000 * TIME)  # of equal energy, without mean


@pytest.mark.parametrize("level_db", [-20.0, -3.0, 0.0, 10.0, 30.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, -50.0])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_known_distortion(level_db, scale, offset):
    noisy = TARGET + 10 ** (-level_db / 20) * NOISE
    found = si_sdr(scale * noisy + offset * abs(scale), TARGET + offset)
    assert found.item() == pytest.approx(level_db, abs=1e-3)


def test_half_precision_is_computed_in_single():
    noisy = TARGET + 0.1 * NOISE
    found = si_sdr(noisy.bfloat16(), TARGET.bfloat16())
    assert found.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        inside = si_sdr(noisy, TARGET)
    assert inside.item() == pytest.approx(20.0, abs=1e-3)


def test_swapped_sources_are_put_right():
    target = torch.stack([TARGET, NOISE], dim=-1).repeat(3, 1, 1)  # [batch, time, 2]
    noise = torch.cos(2 * math.pi * 700 / 8000 * TIME)
    estimate = target + torch.tensor([0.1, 0.01]) * noise[:, None]
    estimate[1] = estimate[1].flip(-1)
    scores, order = best_permutation(estimate, target)
    assert order.tolist() == [[0, 1], [1, 0], [0, 1]]
    expected = torch.tensor([20.0, 40.0]).expand(3, 2)
    torch.testing.assert_close(scores, expected, atol=0.01, rtol=0)
    torch.testing.assert_close(reorder(estimate, order)[1], estimate[0])


def test_padding_is_not_scored():
    estimate = torch.stack([TARGET + 0.1 * NOISE, TARGET + 0.1 * NOISE])[..., None]
    target = torch.stack([TARGET, TARGET])[..., None].clone()
    estimate[1, 4000:] = 7.0
    target[1, 4000:] = 0.0
    scores = utterance_si_sdr(estimate, target, torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(scores, torch.tensor([20.0, 20.0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("estimate", "target"),
    [(0 * TARGET, TARGET), (TARGET, 0 * TARGET), (0 * TARGET, 0 * TARGET)],
    ids=["silent estimate", "silent target", "both silent"],
)
def test_silence_has_a_finite_loss_and_gradient(estimate, target):
    estimate = estimate.clone().requires_grad_()
    score = si_sdr(estimate, target)
    score.backward()
    assert torch.isfinite(score)
    assert torch.isfinite(estimate.grad).all()
    assert score < -50.0, "silence must never look like a success"


@pytest.mark.parametrize("amplitude", [1e-4, 1e-3, 1.0, 100.0])
def test_quiet_signals_score_like_loud_ones(amplitude):
    found = si_sdr(amplitude * (TARGET + 0.1 * NOISE), TARGET)
    assert found.item() == pytest.approx(20.0, abs=0.01)
