"""A causal network gives the same to a stream as to the whole."""

import pytest
import torch
from speechbrain.lobes.models.dual_path import Decoder, Encoder

from polsess.models.convtasnet import Separator
from polsess.models.masknet import MaskNet
from polsess.models.streaming import Stream


def make_network(num_sources=1, causal=True):
    torch.manual_seed(0)
    masknet = MaskNet(
        12, 6, 8, P=3, X=3, R=2, C=num_sources, norm_type="cLN", causal=causal
    )
    decoder = Decoder(12, 1, kernel_size=16, stride=8, bias=False)
    return Separator(Encoder(16, 12), masknet, decoder).double().eval()


def stream_in_pieces(network, mixture, sizes):
    stream = Stream(network)
    pieces = [stream.push(piece) for piece in mixture.split(sizes, dim=1)]
    return torch.cat([*pieces, stream.finish()], dim=1)


@pytest.mark.parametrize("num_samples", [1, 7, 8, 15, 16, 17, 23, 24, 25, 100, 333])
@pytest.mark.parametrize("size", [1, 5, 8, 16, 100])
@pytest.mark.parametrize("num_sources", [1, 2])
def test_any_pieces_give_the_whole(num_samples, size, num_sources):
    network = make_network(num_sources)
    mixture = torch.randn(2, num_samples, dtype=torch.float64)
    found = stream_in_pieces(network, mixture, size)
    with torch.no_grad():
        torch.testing.assert_close(found, network(mixture), atol=1e-10, rtol=1e-8)


def test_pieces_of_all_sizes():
    network = make_network()
    sizes = [0, 3, 40, 0, 1, 16, 200, 8, 7]
    mixture = torch.randn(1, sum(sizes), dtype=torch.float64)
    found = stream_in_pieces(network, mixture, sizes)
    with torch.no_grad():
        torch.testing.assert_close(found, network(mixture), atol=1e-10, rtol=1e-8)


def test_estimates_follow_within_a_frame():
    stream = Stream(make_network())
    num_given = 0
    for num_pushed in range(1, 200):
        num_given += stream.push(torch.randn(1, 1, dtype=torch.float64)).shape[1]
        assert num_given <= num_pushed
        assert num_pushed - num_given < 16


def test_the_memory_of_a_stream_is_bounded():
    stream = Stream(make_network())
    shapes = set()
    for _ in range(50):
        stream.push(torch.randn(1, 8, dtype=torch.float64))
        if stream.history:
            shapes.add(tuple(h.untyped_storage().nbytes() for h in stream.history))
    assert len(shapes) == 1


def test_a_network_that_looks_ahead_is_refused():
    with pytest.raises(ValueError, match="expected a causal network"):
        Stream(make_network(causal=False))


def test_an_empty_stream_cannot_end():
    with pytest.raises(ValueError, match="found none"):
        Stream(make_network()).finish()
