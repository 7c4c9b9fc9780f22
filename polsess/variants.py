"""Tasks, MM-IPC variants, and how a mixture of either is rendered from stems.

A variant names what remains beside the speech: S the scene, E the event, R the
reverb, C (clean) nothing. Adding the phase-inverted copy of a stem to the mixture
removes it (mix modification by inverted phase cancellation); where the mixture is
known to be the sum of its stems, summing the stems that remain is the same thing.

Source: Klec, Szklanny, Wieczorkowska, "A Solution for Developing Corpora for
Polish Speech Enhancement in Complex Acoustic Environments", 2024.
"""

import math

import numpy as np

MIX = "mix"
DRY_STEMS = ("sp1", "sp2", "scene", "event")
REVERB_STEMS = ("sp1_reverb", "sp2_reverb", "ev_reverb")  # indoor rows only

# What each letter keeps, beside the dry speech.
_LETTERS = {
    "S": {"scene"},
    "E": {"event", "ev_reverb"},
    "R": {"sp1_reverb", "sp2_reverb"},
    "C": set(),
}
INDOOR_VARIANTS = ("SER", "SR", "ER", "R", "C")
OUTDOOR_VARIANTS = ("SE", "S", "E", "C")
VARIANTS = tuple(dict.fromkeys(INDOOR_VARIANTS + OUTDOOR_VARIANTS))
DEFAULT_VARIANTS = tuple(v for v in VARIANTS if v != "C")

# Per task, the stems that add up to each source of the target.
TASKS = {
    "ES": (("sp1",),),  # enhance one speaker
    "EB": (("sp1", "sp2"),),  # enhance both speakers, in one channel
    "SB": (("sp1",), ("sp2",)),  # separate both speakers
}

# A row is the sum of its stems when no sample departs by more than 8 steps of 16-bit
# PCM: each of up to eight files was rounded on its own.
SUM_HOLDS_DB = 20 * math.log10(8 / 2**15)


def num_sources(task):
    """Number of sources that a task's target has.

    Example
    -------
    >>> num_sources("ES"), num_sources("EB"), num_sources("SB")
    (1, 1, 2)
    """
    return len(TASKS[task])


def mixture_is_target(task, variant):
    """Whether the mixture has nothing to remove, and so no gain over it can be told.

    Example
    -------
    >>> mixture_is_target("ES", "C"), mixture_is_target("SB", "C")
    (True, False)
    """
    return variant == "C" and num_sources(task) == 1


def compatible_variants(indoor, allowed=DEFAULT_VARIANTS):
    """The variants among ``allowed`` that a row can be rendered in.

    Example
    -------
    >>> compatible_variants(indoor=False)
    ('SE', 'S', 'E')
    >>> compatible_variants(indoor=True, allowed=["C", "SER", "E"])
    ('SER', 'C')
    """
    return tuple(
        v for v in (INDOOR_VARIANTS if indoor else OUTDOOR_VARIANTS) if v in allowed
    )


def all_stems(indoor):
    """Every additive part of a row's mixture."""
    return DRY_STEMS + REVERB_STEMS if indoor else DRY_STEMS


def kept_stems(task, variant, indoor):
    """The stems that a mixture of this task and variant is made of.

    Raises
    ------
    ValueError
        If an indoor variant is asked of an outdoor row, or the other way round.

    Example
    -------
    >>> kept_stems("ES", "SR", indoor=True)
    ('sp1', 'scene', 'sp1_reverb')
    """
    if variant not in compatible_variants(indoor, VARIANTS):
        place = "indoor" if indoor else "outdoor"
        raise ValueError(
            f"variant {variant!r} does not exist for an {place} row; "
            f"expected one of {', '.join(compatible_variants(indoor, VARIANTS))}"
        )
    speakers = {stem for source in TASKS[task] for stem in source}
    kept = speakers.union(*(_LETTERS[letter] for letter in variant))
    kept -= {f"{speaker}_reverb" for speaker in {"sp1", "sp2"} - speakers}
    return tuple(stem for stem in all_stems(indoor) if stem in kept)


def rendering(task, variant, indoor, sum_holds):
    """How to make the mixture: the signed stems to add up, as few to read as possible.

    Arguments
    ---------
    task, variant : str
        Keys of ``TASKS`` and ``VARIANTS``.
    indoor : bool
        Whether the row has reverbs.
    sum_holds : bool
        Whether the row's mixture is known to be the sum of its stems. If not,
        only subtraction gives the published mixture.

    Returns
    -------
    dict
        Sign (+1 or -1) by stem name; the target's stems are read besides.

    Example
    -------
    >>> rendering("ES", "R", indoor=True, sum_holds=True)
    {'sp1': 1, 'sp1_reverb': 1}
    >>> rendering("ES", "SER", indoor=True, sum_holds=True)
    {'mix': 1, 'sp2': -1, 'sp2_reverb': -1}
    """
    kept = kept_stems(task, variant, indoor)
    by_sum = {stem: 1 for stem in kept}
    by_subtraction = {MIX: 1} | {
        stem: -1 for stem in all_stems(indoor) if stem not in kept
    }
    target = {stem for source in TASKS[task] for stem in source}
    if sum_holds and len(target | set(by_sum)) <= len(target | set(by_subtraction)):
        return by_sum
    return by_subtraction


def render(read, task, variant, indoor, sum_holds):
    """Render one example, reading each stem that it needs once and no other.

    Arguments
    ---------
    read : callable
        Gives the samples [time] of a stem by its name.
    task, variant, indoor, sum_holds
        As for ``rendering``.

    Returns
    -------
    mixture : np.ndarray
        What the network hears [time].
    target : np.ndarray
        What the task wants [time, source].

    Example
    -------
    >>> stems = {"sp1": 1, "scene": 10, "mix": 1111, "sp2": 1000, "event": 100}
    >>> mixture, target = render(lambda s: np.full(2, stems[s]), "ES", "S", False, True)
    >>> mixture, target.shape
    (array([11, 11]), (2, 1))
    """
    signs = rendering(task, variant, indoor, sum_holds)
    sources = TASKS[task]
    names = dict.fromkeys([*signs, *(stem for source in sources for stem in source)])
    stems = {name: read(name) for name in names}
    mixture = sum(sign * stems[name] for name, sign in signs.items())
    target = [sum(stems[name] for name in source) for source in sources]
    return mixture, np.stack(target, axis=-1)  # [time], [time, source]
