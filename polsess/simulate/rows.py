"""One row of the demo corpus: what is heard, at which levels, in which files."""

import numpy as np
import soundfile as sf

from polsess.corpus import COLUMNS, FILES, SPLIT_FOLDERS
from polsess.simulate import NUM_SAMPLES, SAMPLE_RATE
from polsess.simulate.rooms import draw_reverbs
from polsess.simulate.scenes import (
    EVENTS,
    INDOOR_SCENES,
    OUTDOOR_SCENES,
    draw_event,
    draw_scene,
)
from polsess.simulate.speech import VOICES, draw_utterance
from polsess.variants import MIX

# The published rules.
_MAX_SSR_DB = 5  # speaker 1 over speaker 2: an integer from minus to plus this
_MIN_SCENE_OFFSET_DB = -14  # RMS of the scene over the speech mix's: from this to 0
_STEM_LIMIT = 0.999  # a stem is clipped to plus and minus this
_MIX_LIMIT = 0.9999  # a mixture that reaches this is drawn again

# What the published sources decide by their recordings, in dB of full scale.
_SPEECH_RMS_DB = (-30, -22)
_EVENT_PEAK_DB = (-24, -3)

_ID_CHARACTERS = list("abcdefghijklmnopqrstuvwxyz0123456789")


def make_row(folder, split, number, seed):
    """Draw one row and write its files.

    Even rows are indoors, odd ones outdoors. Split, number and seed decide
    everything else, whichever process makes the row.

    Arguments
    ---------
    folder : pathlib.Path
        The corpus, with the folders of the split made.
    split : str
        train, valid or test: whose voices and sentences.
    number : int
        Of the row in its split.
    seed : int
        Of the corpus.

    Returns
    -------
    dict
        The row's cells by the names of the CSV's columns.
    """
    rng = np.random.default_rng([seed, list(SPLIT_FOLDERS).index(split), number])
    indoor = number % 2 == 0
    peak = np.inf
    while peak >= _MIX_LIMIT:
        stems, cells = _draw_row(rng, split, indoor)
        mixture = sum(stems.values())
        peak = np.abs(mixture).max()

    names = _draw_names(rng, indoor)
    for stem, samples in {MIX: mixture, **stems}.items():
        stem_folder, column = FILES[stem]
        cells[column] = names[stem]
        path = folder / SPLIT_FOLDERS[split] / stem_folder / names[stem]
        sf.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
    cells["subset"] = SPLIT_FOLDERS[split]
    missing = dict.fromkeys(COLUMNS, "NaN")
    missing |= {column: "" for _, column in FILES.values()}
    return missing | cells


def _draw_row(rng, split, indoor):
    """The stems [time] by name, and the cells that tell what they are."""

    def draw_talker(rng):
        return draw_utterance(rng, split, rng.choice(VOICES[split]))[0]

    scene_class = str(rng.choice(INDOOR_SCENES if indoor else OUTDOOR_SCENES))
    event_class = str(rng.choice(list(EVENTS[indoor])))
    ssr_db = rng.integers(-_MAX_SSR_DB, _MAX_SSR_DB, endpoint=True)
    offset_db = rng.uniform(_MIN_SCENE_OFFSET_DB, 0)
    voices = rng.choice(VOICES[split], size=2, replace=False)
    sp1, text1, start1 = draw_utterance(rng, split, voices[0])
    sp2, text2, start2 = draw_utterance(rng, split, voices[1])

    sp1 *= _gain(rng.uniform(*_SPEECH_RMS_DB)) / _rms(sp1)
    sp2 *= _rms(sp1) / _gain(ssr_db) / _rms(sp2)
    scene = draw_scene(rng, scene_class, draw_talker)
    scene_gain = _rms(sp1 + sp2) * _gain(offset_db)
    event = draw_event(rng, event_class, indoor) * _gain(rng.uniform(*_EVENT_PEAK_DB))
    stems = {"sp1": sp1, "sp2": sp2, "scene": scene_gain * scene, "event": event}
    cells = {
        "speech1OryginalPath": _path("espeak-ng", voices[0], text1[:-1]),
        "speech2OryginalPath": _path("espeak-ng", voices[1], text2[:-1]),
        "sceneOryginalPath": _path("scenes", split, scene_class.replace("/", "_")),
        "eventOryginalPath": _path("events", split, event_class),
        "SSR": ssr_db,
        "sceneRandomDB": offset_db - _MIN_SCENE_OFFSET_DB,
        "sceneOffsetDB": offset_db,
        "sceneVolumeGain": scene_gain,
        "sceneClass": scene_class,
        "eventClass": event_class,
    }
    starts = {"speech1": start1, "speech2": start2, "scene": 0, "event": 0}
    for part, start in starts.items():  # MATLAB counts from 1
        cells |= {f"{part}Start": start + 1, f"{part}End": start + NUM_SAMPLES}

    if indoor:
        reverbs, pre_delays = draw_reverbs(rng, scene_class, [sp1, sp2, event])
        names = ("sp1_reverb", "sp2_reverb", "ev_reverb")
        stems |= dict(zip(names, reverbs, strict=True))
        columns = ("preDelay1", "preDelay2", "preDelayForEvent")
        cells |= dict(zip(columns, pre_delays, strict=True))
    limited = {n: np.clip(x, -_STEM_LIMIT, _STEM_LIMIT) for n, x in stems.items()}
    return limited, cells


def _draw_names(rng, indoor):
    """File names by stem: 16 random characters, joined by hyphens for the mixture."""
    parts = ["sp1", "sp2", "scene", "event", *(["room"] if indoor else [])]
    ids = {part: "".join(rng.choice(_ID_CHARACTERS, size=16)) for part in parts}
    names = {part: f"{ids[part]}.wav" for part in parts[:4]}
    if indoor:
        names |= {f"{s}_reverb": f"{s}_{ids['room']}.wav" for s in ("sp1", "sp2", "ev")}
    return names | {MIX: "-".join(ids.values()) + ".wav"}


def _path(*parts):
    """A path as the published generator's machine would write it."""
    return "\\".join(["C:\\demo", *parts[:-1], f"{parts[-1]}.wav"])


def _gain(level_db):
    return 10 ** (level_db / 20)


def _rms(samples):
    return np.sqrt(np.mean(samples**2))
