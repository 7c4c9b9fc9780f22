"""What a refusal is made of: rules for values, the nearest valid name, the report."""

import difflib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class ConfigError(ValueError):
    """All that is wrong with a command line and its YAML files.

    Arguments
    ---------
    problems : list of str
        Each names the key or file, what was expected, what was found, the remedy.

    Example
    -------
    >>> print(ConfigError(["--lr: given twice", "--task: its value is missing"]))
    2 problems:
      - --lr: given twice
      - --task: its value is missing
    """

    def __init__(self, problems):
        self.problems = list(dict.fromkeys(problems))
        noun = "problem" if len(self.problems) == 1 else "problems"
        super().__init__(
            "\n  - ".join([f"{len(self.problems)} {noun}:", *self.problems])
        )


def closest(word, options):
    """The valid name nearest to a mistyped or abbreviated one, or None.

    Example
    -------
    >>> closest("batch_sise", ["seed", "batch_size"]), closest("ser", ["SER", "SR"])
    ('batch_size', 'SER')
    >>> closest("comp", ["compile"]), closest("xyz", ["seed"])
    ('compile', None)
    """
    originals = {option.lower(): option for option in options}
    word = str(word).lower()
    near = difflib.get_close_matches(word, originals, n=1, cutoff=0.5)
    near = near or [option for option in originals if word and option.startswith(word)]
    return originals[near[0]] if near else None


def did_you_mean(word, options):
    """A hint to append to an error; empty when nothing valid is near.

    Example
    -------
    >>> did_you_mean("batch_sise", ["seed", "batch_size"])
    '; did you mean batch_size?'
    """
    near = closest(word, options)
    return f"; did you mean {near}?" if near else ""


class Rule(NamedTuple):
    """What a value of the right type must fulfil besides."""

    expected: str
    holds: Callable[[Any], bool]
    nearest: Callable[[Any], Any] = lambda value: None


def one_of(options):
    """A choice.

    Example
    -------
    >>> one_of(["gLN", "cLN"]).nearest("GLN")
    'gLN'
    """
    options = tuple(options)
    expected = f"one of {', '.join(options)}"
    return Rule(expected, options.__contains__, lambda value: closest(value, options))


def some_of(options):
    """A list of choices that is not empty and repeats none.

    Example
    -------
    >>> some_of(["SER", "R"]).holds(["R", "R"]), some_of(["SER", "R"]).holds(["R"])
    (False, True)
    """
    options = tuple(options)

    def nearest(values):
        near = filter(None, (closest(value, options) for value in values))
        return f"[{', '.join(dict.fromkeys(near))}]"

    return Rule(
        f"some of {', '.join(options)}, each once",
        lambda values: 0 < len(values) == len({*values} & {*options}),
        nearest,
    )


def between(low, high=math.inf):
    """A number within bounds, which belong to it.

    Example
    -------
    >>> between(1).expected, between(1).nearest(-5)
    ('at least 1', 1)
    """
    return Rule(
        f"at least {low}" + (f" and at most {high}" if high < math.inf else ""),
        lambda value: low <= value <= high,
        lambda value: min(max(value, low), high),
    )


def _device_names():
    names = ["cpu"]
    if torch.accelerator.is_available():
        kind = torch.accelerator.current_accelerator().type
        indices = range(torch.accelerator.device_count())
        names += [kind, *(f"{kind}:{index}" for index in indices)]
    return names


POSITIVE = Rule("a number greater than 0", lambda value: value > 0)
FRACTION = Rule("a number greater than 0 and at most 1", lambda value: 0 < value <= 1)
EVEN = Rule(
    "an even number, at least 2",
    lambda value: value >= 2 and value % 2 == 0,
    lambda value: max(2, value + value % 2),
)
ODD = Rule(
    "an odd number, at least 1",
    lambda value: value >= 1 and value % 2 == 1,
    lambda value: max(1, value | 1),
)
DEVICE = Rule(
    "a device of this machine, such as cpu or cuda:0",
    lambda value: value in _device_names(),
    lambda value: closest(value, _device_names()),
)
