"""The network: its size, any length, and silence in every precision."""

import pytest
import torch
from speechbrain.lobes.models import conv_tasnet
from speechbrain.lobes.models.dual_path import Decoder, Encoder

from polsess.losses import utterance_si_sdr
from polsess.models.convtasnet import Separator
from polsess.models.masknet import MaskNet
from polsess.models.safety import NormEps


@pytest.fixture(autouse=True)
def stock_eps():
    """Each test starts and ends with SpeechBrain's own EPS."""
    NormEps().choose(None, "fp32")
    yield
    NormEps().choose(None, "fp32")


OURS, STOCK = MaskNet, conv_tasnet.MaskNet


def make_network(num_sources=1, num_blocks=3, num_repeats=2, masknet=OURS, **changes):
    torch.manual_seed(0)
    masknet = masknet(
        N=32, B=16, H=32, P=3, X=num_blocks, R=num_repeats, C=num_sources, **changes
    )
    return Separator(
        Encoder(kernel_size=16, out_channels=32),
        masknet,
        Decoder(32, 1, kernel_size=16, stride=8, bias=False),
    )


@pytest.mark.parametrize("num_samples", [1, 15, 16, 17, 23, 24, 100, 1000, 1001])
@pytest.mark.parametrize("num_sources", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_any_length_gives_its_own_length(num_samples, num_sources, batch_size):
    estimate = make_network(num_sources)(torch.randn(batch_size, num_samples))
    assert estimate.shape == (batch_size, num_samples, num_sources)
    assert torch.isfinite(estimate).all()


@pytest.mark.parametrize("masknet", [OURS, STOCK])
@pytest.mark.parametrize("num_blocks", [1, 4, 8])
def test_padding_is_no_more_than_reflection_needs(num_blocks, masknet):
    network = make_network(num_blocks=num_blocks, num_repeats=1, masknet=masknet)
    shortest = 16 + 8 * 2 ** (num_blocks - 1)
    assert network.padded_length(1) == shortest
    network.masknet(network.encoder(torch.rand(1, shortest)))
    with pytest.raises(ValueError if masknet is OURS else RuntimeError):
        network.masknet(network.encoder(torch.rand(1, shortest - 1)))


class EveryFrame(torch.nn.Module):
    """A mask network that lets everything pass."""

    def forward(self, frames):
        return torch.ones(1, *frames.shape)


def test_the_output_is_aligned_with_the_input():
    network = Separator(
        Encoder(kernel_size=16, out_channels=32),
        conv_tasnet.MaskNet(N=32, B=4, H=4, P=3, X=1, R=1, C=1),
        Decoder(32, 1, kernel_size=16, stride=8, bias=False),
    )
    identity = torch.eye(16)
    with torch.no_grad():  # 16 filters hear the positive part, 16 the negative
        network.encoder.conv1d.weight.copy_(torch.cat([identity, -identity])[:, None])
        network.decoder.weight.copy_(torch.cat([identity, -identity])[:, None])
    network.masknet = EveryFrame()
    mixture = torch.randn(1, 4000)
    middle = slice(8, 3992)  # the samples that two frames hold
    torch.testing.assert_close(network(mixture)[0, middle, 0], 2 * mixture[0, middle])


PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("silent", ["all", "half", "one of the batch", "frames"])
@pytest.mark.parametrize("num_sources", [1, 2])
@pytest.mark.parametrize("masknet", [OURS, STOCK])
def test_silence_is_finite_forward_and_backward(
    precision, silent, num_sources, masknet
):
    NormEps().choose(None, precision)
    mixture = 0.1 * torch.randn(2, 8000)
    silence = {
        "all": (slice(None), slice(None)),
        "half": (slice(None), slice(4000, None)),
        "one of the batch": (0, slice(None)),
        "frames": (slice(None), slice(1000, 1100)),
    }
    mixture[silence[silent]] = 0.0
    target = mixture.unsqueeze(-1).repeat(1, 1, num_sources) * torch.rand(num_sources)
    network = make_network(num_sources, num_blocks=8, num_repeats=4, masknet=masknet)
    dtype = PRECISIONS[precision]
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        estimate = network(mixture)
        loss = -utterance_si_sdr(estimate, target, torch.ones(2)).mean()
    loss.backward()
    assert torch.isfinite(estimate).all()
    assert torch.isfinite(loss)
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name


def test_stock_eps_fails_in_half_precision():
    """Why the patch exists; were this to pass, it could be deleted."""
    with torch.autocast("cpu", torch.float16):
        estimate = make_network(masknet=STOCK)(torch.zeros(1, 2000))
        assert not torch.isfinite(estimate).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"masknet": STOCK},
        {"norm_type": "cLN"},
        {"norm_type": "cLN", "causal": True},
    ],
    ids=str,
)
def test_no_padding_is_heard(changes):
    """Each utterance gives what it gives alone, also as gradient."""
    network = make_network(num_sources=2, **changes).double()
    mixture = torch.randn(4, 4000, dtype=torch.float64)  # padded with noise
    num_samples = [4000, 2000, 3, 2000]
    lengths = torch.tensor(num_samples) / 4000
    weights = torch.randn(4, 4000, 2, dtype=torch.float64)

    estimates = network(mixture, lengths)
    (estimates * weights).sum().backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    for i, n in enumerate(num_samples):
        alone = network(mixture[i : i + 1, :n])[0]
        torch.testing.assert_close(estimates[i, :n], alone)
        assert not estimates[i, n:].any()
        (alone * weights[i, :n]).sum().backward()
    for gradient, p in zip(gradients, network.parameters(), strict=True):
        torch.testing.assert_close(gradient, p.grad)


@pytest.mark.parametrize(
    ("saved", "expected"), [(1e-8, 1e-4), (1e-6, 1e-6), (1e-2, 1e-2)]
)
def test_half_precision_gets_an_eps_that_is_not_zero(saved, expected, caplog):
    norm_eps = NormEps()
    norm_eps.choose(saved, "fp32")
    norm_eps.fit_half_precision()
    assert norm_eps.value == expected
    assert ("is 0 in fp16" in caplog.text) == (saved != expected)


def test_eps_is_recovered_with_the_model(tmp_path):
    norm_eps = NormEps()
    norm_eps.choose(3e-5, "fp32")
    norm_eps._save(tmp_path / "eps.ckpt")
    norm_eps.choose(None, "fp16")
    assert conv_tasnet.EPS == 1e-4
    norm_eps._recover(tmp_path / "eps.ckpt", end_of_epoch=True)
    assert conv_tasnet.EPS == 3e-5
