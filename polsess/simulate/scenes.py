"""Synthetic acoustic scenes and sound events: each class is a line of a table."""

from functools import partial

import numpy as np
from scipy.signal import fftconvolve

from polsess.simulate import NUM_SAMPLES, SAMPLE_RATE
from polsess.simulate.rooms import ROOMS
from polsess.simulate.sounds import (
    burst,
    cry,
    modes,
    motor,
    repeat,
    scatter,
    seconds,
    swelling_noise,
    unit_rms,
    wail,
)

_AIR = partial(swelling_noise, slope=(-6, -2), depth=(0, 2))
_TRAFFIC = partial(swelling_noise, slope=(-8, -4), depth=(2, 6))
_WIND = partial(swelling_noise, slope=(-10, -6), depth=(3, 8), changes_per_second=3)
_WAVES = partial(swelling_noise, slope=(-4, -1), depth=(3, 8), changes_per_second=1)
_LEAVES = partial(swelling_noise, slope=(-3, 1), depth=(2, 6))
_MAINS = partial(motor, fundamental=(49, 51), roughness=(-20, -6))
_ENGINE = partial(motor, fundamental=(25, 90))
_RAILS = partial(motor, fundamental=(80, 250), roughness=(0, 9))
_CLICK = partial(burst, slope=(0, 6), decay=(0.003, 0.01))
_STEP = partial(burst, slope=(-9, -3), decay=(0.02, 0.08))
_DISH = partial(modes, fundamental=(700, 2000), decay=(0.02, 0.2))
_CHIRP = partial(cry, fundamental=(1500, 2400), length=(0.05, 0.2), breath=(-40, -30))
_KEYS = partial(scatter, make=_CLICK, per_second=(3, 12))
_STEPS = partial(scatter, make=_STEP, per_second=(3, 10))
_DISHES = partial(scatter, make=_DISH, per_second=(3, 12))
_BIRDS = partial(scatter, make=_CHIRP, per_second=(1, 6))


def _crowd(rng, draw_talker):
    """Voices from afar [time]: several talkers, smeared by an echoing place."""
    talkers = sum(unit_rms(draw_talker(rng)) for _ in range(rng.integers(3, 6)))
    time = seconds(SAMPLE_RATE)
    tail = rng.normal(size=len(time)) * np.exp(-time / rng.uniform(0.05, 0.2))
    return fftconvolve(talkers, tail)[:NUM_SAMPLES]


# Per scene class its layers and their levels, give or take _LAYER_SPREAD.
_LAYER_SPREAD = (-5, 5)
SCENES = {
    "airport": {_AIR: 0, _crowd: -2, _STEPS: -6},
    "bus": {_ENGINE: 0, _TRAFFIC: -3, _crowd: -8},
    "cafe/restaurant": {_crowd: 0, _DISHES: -4, _AIR: -3},
    "car": {_ENGINE: 0, _TRAFFIC: 0},
    "grocery_store": {_AIR: 0, _MAINS: -3, _crowd: -3, _DISHES: -9},
    "home": {_AIR: 0, _MAINS: -6, _DISHES: -8},
    "library": {_AIR: 0, _STEPS: -6, _KEYS: -8},
    "metro": {_RAILS: 0, _TRAFFIC: -3, _crowd: -9},
    "metro_station": {_RAILS: 0, _crowd: -3, _STEPS: -6},
    "office": {_AIR: 0, _KEYS: -5, _MAINS: -6, _crowd: -8},
    "shopping_mall": {_crowd: 0, _AIR: -2, _STEPS: -4},
    "train": {_RAILS: -3, _TRAFFIC: 0, _crowd: -8},
    "tram": {_RAILS: 0, _ENGINE: -3, _crowd: -8},
    "beach": {_WAVES: 0, _WIND: -3, _crowd: -10},
    "city_center": {_TRAFFIC: 0, _crowd: -3, _STEPS: -8},
    "forest_path": {_LEAVES: 0, _BIRDS: -3, _WIND: -6},
    "park": {_LEAVES: 0, _BIRDS: -3, _crowd: -8, _TRAFFIC: -6},
    "public_square": {_crowd: 0, _STEPS: -6, _TRAFFIC: -3},
    "residential_area": {_TRAFFIC: 0, _BIRDS: -6, _WIND: -6},
    "street_pedestrian": {_crowd: 0, _STEPS: -3, _AIR: -3},
    "street_traffic": {_TRAFFIC: 0, _ENGINE: -2},
}
INDOOR_SCENES = tuple(name for name in SCENES if name in ROOMS)
OUTDOOR_SCENES = tuple(name for name in SCENES if name not in ROOMS)

_CLAP = partial(burst, slope=(-2, 2), attack=(0.001, 0.003), decay=(0.01, 0.05))
_COUGH = partial(burst, slope=(-5, -1), attack=(0.005, 0.03), decay=(0.05, 0.15))
_HORN = partial(cry, fundamental=(280, 480), length=(0.3, 1.5), bend=(0.99, 1.01))
_BARK = partial(cry, fundamental=(250, 700), length=(0.08, 0.3), breath=(-12, 0))
_MEOW = partial(cry, fundamental=(400, 800), length=(0.4, 1.2))
_SOB = partial(cry, fundamental=(330, 550), length=(0.5, 1.2))
_CAW = partial(cry, fundamental=(300, 600), length=(0.2, 0.5), breath=(-8, 3))
_BEEP = partial(cry, fundamental=(800, 2000), length=(0.06, 0.4), bend=(1, 1))
_KNOCK = partial(modes, fundamental=(80, 300), decay=(0.01, 0.05))
_SLAM = partial(burst, slope=(-9, -5), attack=(0.002, 0.01), decay=(0.05, 0.3))
_GLASS = partial(modes, fundamental=(1200, 2500), decay=(0.05, 0.3))
_BELL = partial(modes, fundamental=(250, 900), decay=(0.5, 2.0), length=3)
_SPLASH = partial(burst, slope=(-3, 1), attack=(0.02, 0.2), decay=(0.1, 0.5))

_INDOOR_EVENTS = {
    "Alarm_clock": partial(repeat, make=_BEEP, times=(3, 12), gap=(0.15, 0.6)),
    "Cough": partial(repeat, make=_COUGH, times=(1, 4), gap=(0.3, 0.6)),
    "Crying_baby": partial(repeat, make=_SOB, times=(1, 4), gap=(0.8, 1.5)),
    "Dishes_and_pots_and_pans": partial(scatter, make=_DISH, per_second=(3, 10)),
    "Door": partial(repeat, make=_SLAM, times=(1, 2), gap=(0.4, 1.5)),
    "Glass": partial(repeat, make=_GLASS, times=(1, 5), gap=(0.05, 0.6)),
    "Keyboard": partial(scatter, make=_CLICK, per_second=(5, 15)),
    "Knock": partial(repeat, make=_KNOCK, times=(2, 6), gap=(0.12, 0.4)),
    "Telephone": partial(repeat, make=_BEEP, times=(2, 6), gap=(0.4, 1.0)),
    "Vacuum_cleaner": partial(motor, fundamental=(100, 300), roughness=(-6, 6)),
}
_OUTDOOR_EVENTS = {
    "Bell": partial(repeat, make=_BELL, times=(1, 4), gap=(0.5, 1.5)),
    "Car_horn": partial(repeat, make=_HORN, times=(1, 3), gap=(0.5, 2.0)),
    "Chainsaw": partial(motor, fundamental=(80, 200), roughness=(-6, 3)),
    "Chirping_birds": partial(scatter, make=_CHIRP, per_second=(3, 10)),
    "Crow": partial(repeat, make=_CAW, times=(1, 5), gap=(0.5, 1.0)),
    "Engine": partial(motor, fundamental=(25, 100)),
    "Siren": wail,
    "Water": partial(repeat, make=_SPLASH, times=(1, 4), gap=(0.3, 1.5)),
    "Wind": _WIND,
}
_EVENTS_ANYWHERE = {
    "Cat": partial(repeat, make=_MEOW, times=(1, 3), gap=(0.8, 1.8)),
    "Clapping": partial(repeat, make=_CLAP, times=(3, 15), gap=(0.15, 0.35)),
    "Dog": partial(repeat, make=_BARK, times=(1, 6), gap=(0.25, 0.8)),
    "Footsteps": partial(repeat, make=_STEP, times=(3, 9), gap=(0.35, 0.7)),
}
# By whether the scene is indoors.
EVENTS = {
    True: _INDOOR_EVENTS | _EVENTS_ANYWHERE,
    False: _OUTDOOR_EVENTS | _EVENTS_ANYWHERE,
}


def draw_scene(rng, scene_class, draw_talker):
    """Draw a continuous background.

    Arguments
    ---------
    rng : np.random.Generator
        Where the draws come from.
    scene_class : str
        One of the ``SCENES``.
    draw_talker : callable
        Given ``rng``, 4 s of speech [time] by somebody, for the crowds.

    Returns
    -------
    np.ndarray
        The scene [time], with an RMS of 1.
    """
    scene = np.zeros(NUM_SAMPLES)
    for layer, level_db in SCENES[scene_class].items():
        sound = layer(rng, draw_talker) if layer is _crowd else layer(rng)
        gain_db = level_db + rng.uniform(*_LAYER_SPREAD)
        scene += 10 ** (gain_db / 20) * unit_rms(sound)
    return unit_rms(scene)


def draw_event(rng, event_class, indoor):
    """Draw a sound event.

    Arguments
    ---------
    rng : np.random.Generator
        Where the draws come from.
    event_class : str
        One of ``EVENTS[indoor]``.
    indoor : bool
        Whether it is heard in a room.

    Returns
    -------
    np.ndarray
        The event [time], with a peak of 1.
    """
    event = np.zeros(NUM_SAMPLES)
    while not event.any():  # a scattered sound may never occur
        event = EVENTS[indoor][event_class](rng)
    return event / np.abs(event).max()
