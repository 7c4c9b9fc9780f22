"""Our MaskNet against SpeechBrain's: weights, masks, gradients; and what it adds."""

import pytest
import torch
from speechbrain.lobes.models import conv_tasnet

from polsess.models import masknet as masknet_module
from polsess.models.channelwise_block import causal_block, channelwise_norm_block
from polsess.models.masknet import MaskNet
from polsess.models.temporal_block import global_norm_block

SIZES = {"N": 10, "B": 6, "H": 8, "P": 3, "X": 3, "R": 2, "C": 1}
VARIATIONS = [
    {},
    {"P": 1},
    {"P": 5, "X": 4},
    {"C": 2, "R": 1},
    {"mask_nonlinear": "softmax", "C": 2},
    {"norm_type": "cLN"},
    {"norm_type": "cLN", "P": 5},
]


def make_pair(dtype=torch.float64, **changes):
    """Both networks, with the same random values for every weight."""
    torch.manual_seed(0)
    stock = conv_tasnet.MaskNet(**SIZES | changes)
    for weight in stock.parameters():
        weight.data.add_(0.3 * torch.randn_like(weight))
    ours = MaskNet(**SIZES | changes)
    ours.load_state_dict(stock.state_dict())
    return ours.to(dtype), stock.to(dtype)


def masks_and_gradients(network, frames):
    frames = frames.clone().requires_grad_()
    masks = network(frames)
    torch.manual_seed(1)
    (masks * torch.randn(masks.shape, dtype=masks.dtype)).sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return masks.detach(), {"frames": frames.grad, **gradients}


@pytest.mark.parametrize("changes", VARIATIONS, ids=str)
@pytest.mark.parametrize(("batch_size", "num_frames"), [(1, 100), (3, 37), (2, 17)])
def test_same_masks_and_gradients(changes, batch_size, num_frames):
    ours, stock = make_pair(**changes)
    frames = torch.rand(batch_size, SIZES["N"], num_frames, dtype=torch.float64)
    masks, gradients = masks_and_gradients(ours, frames)
    expected_masks, expected_gradients = masks_and_gradients(stock, frames)
    assert gradients.keys() == expected_gradients.keys()
    torch.testing.assert_close(masks, expected_masks, atol=1e-12, rtol=1e-10)
    for name, expected in expected_gradients.items():
        atol = 1e-11 * float(expected.abs().max())
        torch.testing.assert_close(gradients[name], expected, atol=atol, rtol=1e-8)


def error(found, expected):
    """Euclidean norm of the difference, relative to what is expected."""
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("norm_type", ["gLN", "cLN"])
def test_single_precision_is_no_less_exact_than_stock(norm_type):
    changes = {"N": 64, "B": 32, "H": 64, "X": 8, "R": 3, "norm_type": norm_type}
    frames = torch.rand(2, 64, 1000)
    single = [
        masks_and_gradients(n, frames) for n in make_pair(torch.float32, **changes)
    ]
    exact = masks_and_gradients(make_pair(**changes)[0], frames.double())
    (masks, gradients), (stock_masks, stock_gradients) = single
    assert error(masks, stock_masks) < 1e-5
    assert error(masks, exact[0]) < 1e-5

    def flat(gradients):
        return torch.cat([g.flatten().double() for g in gradients.values()])

    ours, stock, expected = map(flat, (gradients, stock_gradients, exact[1]))
    assert error(ours, expected) < max(1e-4, 2 * error(stock, expected))


def test_state_dicts_are_interchangeable():
    torch.manual_seed(0)
    stock = conv_tasnet.MaskNet(**SIZES)
    torch.manual_seed(0)
    ours = MaskNet(**SIZES)
    assert list(ours.state_dict()) == list(stock.state_dict())
    for name, weight in stock.state_dict().items():  # a seed gives the same network
        torch.testing.assert_close(ours.state_dict()[name], weight, rtol=0, atol=0)
    stock.load_state_dict(ours.state_dict(), strict=True)
    causal = MaskNet(**SIZES, norm_type="cLN", causal=True)
    causal.load_state_dict(stock.state_dict(), strict=True)


@pytest.mark.parametrize("eps", [1e-8, 1e-2])
@pytest.mark.parametrize("norm_type", ["gLN", "cLN"])
def test_the_eps_in_force_is_honoured(monkeypatch, eps, norm_type):
    ours, stock = make_pair(norm_type=norm_type)
    default = ours(torch.full((1, 10, 50), 0.01, dtype=torch.float64))
    monkeypatch.setattr(conv_tasnet, "EPS", eps)
    frames = torch.full((1, 10, 50), 0.01, dtype=torch.float64)
    torch.testing.assert_close(ours(frames), stock(frames))
    assert (eps == 1e-8) == torch.equal(ours(frames), default)


def block_weights(taps=3, hidden=3, bottleneck=2):
    torch.manual_seed(0)
    shapes = [(hidden, bottleneck), (1,), (hidden,), (hidden,), (hidden, taps)]
    shapes += [(1,), (hidden,), (hidden,), (bottleneck, hidden)]
    return [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("block", [global_norm_block, channelwise_norm_block])
@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (3, 1), (3, 4), (5, 2)])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_gradients_of_a_block(block, taps, dilation, batch_size):
    weights = block_weights(taps)
    x = torch.randn(batch_size, 7, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *tensors: block(*tensors, dilation, 1e-3), (x, *weights)
    )


def test_gradients_of_a_causal_block():
    x = torch.randn(2, 7, 2, dtype=torch.float64, requires_grad=True)
    history = torch.randn(2, 8, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *tensors: causal_block(*tensors, 4, 1e-3),
        (x, history, *block_weights(taps=3)),
    )


def saved_bytes(network, frames):
    """What autograd keeps for the backward pass, beside the weights."""
    kept = {}
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes(), tensor  # which keeps it alive
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(frames)
    return sum(size for size, _ in kept.values())


def test_one_hidden_tensor_is_kept_of_each_block():
    sizes = {"N": 16, "B": 16, "H": 32, "X": 4, "R": 3}
    ours, stock = make_pair(torch.float32, **sizes)
    frames = torch.rand(1, 16, 2000)
    hidden, bottleneck = 4 * 32 * 2000, 4 * 16 * 2000
    expected = 12 * (hidden + bottleneck) + 3 * bottleneck  # and before and after
    assert saved_bytes(ours, frames) < 1.1 * expected
    assert saved_bytes(ours, frames) < 0.15 * saved_bytes(stock, frames)


def test_the_parts_of_a_batch_change_nothing(monkeypatch):
    ours, _ = make_pair()
    frames = torch.rand(5, 10, 40, dtype=torch.float64)
    whole = masks_and_gradients(ours, frames)
    ours.zero_grad()
    monkeypatch.setattr(masknet_module, "CACHED_BYTES", 2 * 8 * 40 * 8)  # two each
    parts = masks_and_gradients(ours, frames)
    torch.testing.assert_close(parts, whole)


PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("norm_type", ["gLN", "cLN"])
def test_half_precision_needs_no_larger_eps(precision, norm_type):
    """Silence within, around and throughout, with SpeechBrain's own EPS."""
    ours, _ = make_pair(torch.float32, norm_type=norm_type)
    frames = torch.rand(3, 10, 200)
    frames[0] = 0
    frames[1, :, 50:] = 0
    frames[2, :, 50:60] = 0
    with torch.autocast("cpu", PRECISIONS[precision]):
        masks, gradients = masks_and_gradients(ours, frames)
    assert masks.dtype == PRECISIONS[precision]
    assert torch.isfinite(masks).all()
    single = ours(frames).detach()
    assert error(masks[:, 1:].float(), single[:, 1:]) < 0.03
    for name, gradient in gradients.items():
        if name != "frames":  # of a silent utterance it is as large as 1 / sqrt(EPS)
            assert torch.isfinite(gradient).all(), name


def test_backward_within_autocast():
    ours, _ = make_pair(torch.float32)
    frames = torch.rand(1, 10, 50)
    with torch.autocast("cpu", torch.bfloat16):
        ours(frames).float().sum().backward()
        expected = [p.grad.clone() for p in ours.parameters()]
        ours.zero_grad()
        loss = ours(frames).float().sum()
    loss.backward()
    torch.testing.assert_close([p.grad for p in ours.parameters()], expected)


@pytest.mark.parametrize("changed", [0, 1, 30, 99])
def test_a_causal_network_hears_nothing_ahead(changed):
    causal = MaskNet(**SIZES, norm_type="cLN", causal=True).double()
    frames = torch.rand(2, 10, 100, dtype=torch.float64)
    before = causal(frames)
    frames[:, :, changed] += 1
    after = causal(frames)
    differs = (before != after).any(dim=2)[0].any(dim=0)  # [frame]
    assert not differs[:changed].any()
    assert differs[changed]


def test_a_causal_network_reaches_back_as_far_as_its_kernels():
    causal = MaskNet(**SIZES | {"R": 1, "X": 3}, norm_type="cLN", causal=True).double()
    frames = torch.rand(1, 10, 100, dtype=torch.float64)
    before = causal(frames)
    frames[:, :, 50] += 1
    differs = (before != causal(frames))[0, 0].any(dim=0).nonzero().flatten()
    assert differs.min() == 50
    assert differs.max() == 50 + 2 * (1 + 2 + 4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"norm_type": "gln"}, "norm_type: expected gLN or cLN; found 'gln'"),
        ({"norm_type": "BN"}, "norm_type"),
        ({"mask_nonlinear": "sigmoid"}, "mask_nonlinear: expected relu or softmax"),
        ({"P": 4}, "P: expected an odd kernel size; found 4"),
        ({"causal": True}, "set norm_type to cLN"),
    ],
)
def test_arguments_that_do_not_exist_are_refused(changes, expected):
    with pytest.raises(ValueError, match=expected):
        MaskNet(**SIZES | changes)


def test_every_wrong_argument_is_named_at_once():
    with pytest.raises(ValueError) as caught:
        MaskNet(**SIZES | {"P": 2, "norm_type": "x", "mask_nonlinear": "y"})
    assert len(str(caught.value).splitlines()) == 3


def test_too_few_frames_are_refused():
    ours, _ = make_pair()  # the largest dilation is 4
    ours(torch.rand(1, 10, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"at least 5 frames.*found 4"):
        ours(torch.rand(1, 10, 4, dtype=torch.float64))


@pytest.mark.slow  # and needs a C++ compiler
@pytest.mark.parametrize("causal", [False, True])
def test_the_block_is_compiled_once_for_all(causal):
    changes = {"norm_type": "cLN", "causal": True} if causal else {}
    torch.manual_seed(0)
    network = MaskNet(**SIZES | {"X": 5, "R": 3}, **changes).double()
    frames = torch.rand(1, 10, 200, dtype=torch.float64)
    expected = masks_and_gradients(network, frames)
    network.zero_grad()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    network.compile_blocks()
    found = masks_and_gradients(network, frames)
    torch.testing.assert_close(found, expected)
    # One graph for the first dilation, and one for whichever comes.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2
