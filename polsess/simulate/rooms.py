"""Wet-only reverbs: shoebox rooms by the image method, without the direct path."""

import numpy as np
import pyroomacoustics as pra
from scipy.signal import fftconvolve

from polsess.simulate import SAMPLE_RATE

# Per indoor scene class: length, width, height in m, and the range of RT60 in s.
ROOMS = {
    "airport": ((30, 20, 6), (0.8, 1.4)),
    "bus": ((10, 2.4, 2.2), (0.15, 0.3)),
    "cafe/restaurant": ((9, 7, 3), (0.4, 0.8)),
    "car": ((2.4, 1.6, 1.2), (0.06, 0.1)),
    "grocery_store": ((20, 12, 4), (0.5, 0.9)),
    "home": ((4.5, 3.8, 2.6), (0.25, 0.5)),
    "library": ((12, 8, 3.2), (0.4, 0.8)),
    "metro": ((15, 2.6, 2.2), (0.18, 0.35)),
    "metro_station": ((40, 14, 5), (0.9, 1.5)),
    "office": ((6, 4.5, 2.8), (0.3, 0.6)),
    "shopping_mall": ((30, 20, 7), (0.8, 1.4)),
    "train": ((18, 2.8, 2.3), (0.18, 0.4)),
    "tram": ((12, 2.4, 2.2), (0.15, 0.3)),
}

_SCALE = (0.8, 1.25)  # each side of a room is its class's times this
_DISTANCE = (0.5, 1.5)  # from source to microphone, m
_WALL_GAP = 0.2  # nothing is nearer to a wall, m
_MAX_ORDER = 20  # of reflections: 12 ms of work; what is cut off lies in the far tail

# Rows are made in parallel, and more threads would sum in another order.
pra.constants.set("num_threads", 1)
# The zero-phase high-pass would ring ahead of the first reflection.
pra.constants.set("rir_hpf_enable", False)


def draw_reverbs(rng, scene_class, sources):
    """Put sources into a random room of a scene's class, each at a place of its own.

    Their direct sound reaches the microphone at time 0 with the level of the dry
    stem, which holds it; the reverb is all that arrives later.

    Arguments
    ---------
    rng : np.random.Generator
        Where the draws come from.
    scene_class : str
        One of the ``ROOMS``.
    sources : list of np.ndarray
        Dry signals [time].

    Returns
    -------
    reverbs : list of np.ndarray
        Wet-only signals [time], as long as the dry ones.
    pre_delays : list of float
        Time from the direct sound to the first reflection, in s.
    """
    sides, rt60_range = ROOMS[scene_class]
    sides = np.array(sides) * rng.uniform(*_SCALE, size=3)
    absorption, _ = pra.inverse_sabine(rng.uniform(*rt60_range), sides)
    microphone = rng.uniform(0.35, 0.65, size=3) * sides
    places = [_draw_place(rng, sides, microphone) for _ in sources]
    responses = zip(
        _responses(sides, absorption, microphone, places, _MAX_ORDER),
        _responses(sides, absorption, microphone, places, 0),
        strict=True,
    )
    reverbs, pre_delays = [], []
    for source, place, (response, direct) in zip(
        sources, places, responses, strict=True
    ):
        response[: len(direct)] -= direct
        distance = np.linalg.norm(place - microphone)
        arrival = distance / pra.constants.get("c")
        lead = pra.constants.get("frac_delay_length") // 2  # before time 0, samples
        tail = distance * response[lead + round(arrival * SAMPLE_RATE) :]
        reverbs.append(fftconvolve(source, tail)[: len(source)])
        first = _first_reflection(sides, microphone, place) / pra.constants.get("c")
        pre_delays.append(first - arrival)
    return reverbs, pre_delays


def _draw_place(rng, sides, microphone):
    while True:
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        place = microphone + rng.uniform(*_DISTANCE) * direction
        if np.all((place > _WALL_GAP) & (place < sides - _WALL_GAP)):
            return place


def _responses(sides, absorption, microphone, places, max_order):
    """Impulse responses [time] from each place to the microphone; gain 1 at 1 m."""
    room = pra.ShoeBox(
        sides, SAMPLE_RATE, materials=pra.Material(absorption), max_order=max_order
    )
    for place in places:
        room.add_source(place)
    room.add_microphone(microphone)
    room.compute_rir()
    return room.rir[0]


def _first_reflection(sides, microphone, place):
    """Length in m of the shortest path by way of one wall."""
    mirrored = [place * (1 - 2 * axis) for axis in np.eye(3)]
    mirrored += [place + 2 * (sides - place) * axis for axis in np.eye(3)]
    return min(np.linalg.norm(image - microphone) for image in mirrored)
