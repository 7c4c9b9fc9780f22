"""Polish speech by espeak-ng, through ctypes and the library that PyPI ships.

espeak-ng keeps state in global variables: one utterance at a time in a process.
"""

import _ctypes
import ctypes
from contextlib import contextmanager

import espeakng_loader
import numpy as np
import soxr

from polsess.simulate import NUM_SAMPLES, SAMPLE_RATE
from polsess.simulate.sentences import draw_sentence

# espeak-ng's voice variants that sound like a person, have no echo of their own and
# take no noise from the C library's rand(), which nothing here could seed. Relatives
# (steph, steph2) stay together: the splits must not share a voice.
_VOICES = {
    "train": """Alex Andy Annie Denis Gene Gene2 Jacky Mario Michael Mike Nguyen adam
        anika antonio aunty benjamin boris ed f1 gustave ian klatt2 klatt3 klatt4 m1 m3
        m4 m6 marcelo max mike2 norbert paul quincy rob robert sandro shelby travis
        victor""",
    "valid": "david grandpa kaukovalta m5 pedro zac",
    "test": """Andrea belinda edward edward2 grandma iven iven2 iven3 iven4 john m7 m8
        steph steph2 steph3""",
}
VOICES = {split: names.split() for split, names in _VOICES.items()}

# Ranges of espeak-ng's parameters: words a minute; the others 0 to 100, 50 is usual.
_RATE, _PITCH, _PITCH_RANGE = (130, 200), (25, 75), (30, 75)

# From espeak-ng's speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS, _CHARS_UTF8 = 2, 1
_BUFFER_MS = 1000  # of speech handed over at a time
_PARAM_RATE, _PARAM_VOLUME, _PARAM_PITCH, _PARAM_RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def synthesise(text, voice, rate=160, pitch=50, pitch_range=50):
    """Speak a Polish text.

    Arguments
    ---------
    text : str
        What to say.
    voice : str
        One of the ``VOICES``.
    rate : int
        Words a minute.
    pitch, pitch_range : int
        Height and liveliness of the melody, 0 to 100.

    Returns
    -------
    samples : np.ndarray
        Speech [time], within +-1.
    sample_rate : int
        In Hz.

    Raises
    ------
    RuntimeError
        If espeak-ng refuses.
    """
    chunks = []

    @_CALLBACK
    def collect(samples, num_samples, _):
        if samples and num_samples:
            num_bytes = num_samples * ctypes.sizeof(ctypes.c_short)
            chunks.append(ctypes.string_at(samples, num_bytes))
        return 0

    settings = {
        _PARAM_RATE: rate,
        _PARAM_VOLUME: 25,  # of 100: the loudest voices clip at more
        _PARAM_PITCH: pitch,
        _PARAM_RANGE: pitch_range,
    }
    with _fresh_library() as (library, sample_rate):
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(f"pl+{voice}".encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice 'pl+{voice}'")
        for parameter, value in settings.items():
            library.espeak_SetParameter(parameter, int(value), 0)
        encoded = text.encode()
        size = ctypes.c_size_t(len(encoded) + 1)
        library.espeak_Synth(encoded, size, 0, 0, 0, _CHARS_UTF8, None, None)
    return np.frombuffer(b"".join(chunks), np.int16) / 2.0**15, sample_rate


@contextmanager
def _fresh_library():
    """espeak-ng as first loaded, and its sample rate in Hz.

    The phases of a voice's flutter and noise carry over to the next utterance, and
    espeak_Terminate does not clear them; unloading the library does.
    """
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        data_path = espeakng_loader.get_data_path()
        sample_rate = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data_path.encode(), 0
        )
        if sample_rate <= 0:
            raise RuntimeError(f"espeak-ng does not start with its data in {data_path}")
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the clock
        yield library, sample_rate
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)


def draw_utterance(rng, split, voice):
    """Let a voice say sentences of a split, and cut a random segment of 4 s.

    Arguments
    ---------
    rng : np.random.Generator
        Where the draws come from.
    split : str
        train, valid or test.
    voice : str
        One of the ``VOICES``.

    Returns
    -------
    samples : np.ndarray
        Speech [time].
    text : str
        All that is said, also outside of the segment.
    start : int
        The segment's first sample in what is said.
    """
    rate, pitch, pitch_range = (rng.integers(*r) for r in (_RATE, _PITCH, _PITCH_RANGE))
    text, speech = draw_sentence(rng, split), np.empty(0)
    while len(speech) < NUM_SAMPLES:  # two sentences, most often
        text = f"{text} {draw_sentence(rng, split)}"
        samples, sample_rate = synthesise(text, voice, rate, pitch, pitch_range)
        speech = soxr.resample(samples, sample_rate, SAMPLE_RATE)
    start = rng.integers(len(speech) - NUM_SAMPLES + 1)
    return speech[start : start + NUM_SAMPLES], text, start
