"""The types of keys and run options, and what their values may be.

A key has the type of its value in the baseline's YAML, so only what the YAML cannot
say stands here.
"""

import math
import re
import types
from typing import Literal, Union, get_args, get_origin, get_type_hints

from speechbrain.utils.run_opts import HELP_TEXTS, RunOptions

from polsess.audit import AUDITS
from polsess.config.rules import (
    DEVICE,
    EVEN,
    FRACTION,
    ODD,
    POSITIVE,
    between,
    one_of,
    some_of,
)
from polsess.manifest import ON_FAULT
from polsess.variants import TASKS, VARIANTS

# Keys that may be null, with the type of their other values.
NULLABLE = {
    "eps": float,
    "segment_seconds": float,
    "max_train_rows": int,
    "max_valid_rows": int,
    "max_test_rows": int,
}

# Run options that would change the precision behind the YAML's back.
REPLACED_OPTIONS = {
    "auto_mix_prec": "--precision fp16",
    "bfloat16_mix_prec": "--precision bf16",
}

RULES = {
    "seed": between(0, 2**32 - 1),  # what NumPy takes
    "task": one_of(TASKS),
    "valid_split": one_of(["valid", "test"]),
    "audit": one_of(AUDITS),
    "on_fault": one_of(ON_FAULT),
    "norm_type": one_of(["gLN", "cLN"]),  # SpeechBrain takes a typo for BatchNorm
    "mask_nonlinear": one_of(["relu", "softmax"]),
    "kernel_size": EVEN,  # the stride is half of it
    "block_kernel_size": ODD,  # an even one would shift the signal
    "lr_factor": FRACTION,
    "device": DEVICE,
} | {
    key: rule
    for keys, rule in [
        ("train_variants valid_variants test_variants", some_of(VARIANTS)),
        # A clipping at 0 freezes the weights, a negative one turns gradients round.
        ("lr max_grad_norm eps segment_seconds", POSITIVE),
        ("number_of_epochs batch_size grad_accumulation_factor", between(1)),
        ("sample_rate max_train_rows max_valid_rows max_test_rows", between(1)),
        ("num_filters bottleneck_channels hidden_channels", between(1)),
        ("num_blocks num_repeats debug_batches optimizer_step_limit", between(1)),
        ("num_workers weight_decay early_stopping_patience", between(0)),
        ("lr_patience nonfinite_patience", between(1)),
        ("ckpt_interval_minutes ckpt_interval_steps", between(0)),
    ]
    for key in keys.split()
}


def _run_options():
    """Types of SpeechBrain's run options by name, and the choices where it has some."""
    kinds, choices = {}, {}
    hints = get_type_hints(RunOptions)
    for name in [*HELP_TEXTS, "jit_module_keys", "compile_module_keys"]:
        kind = hints.get(name)
        if kind is None or name in REPLACED_OPTIONS:
            continue
        if get_origin(kind) in (Union, types.UnionType):  # Optional
            kind = get_args(kind)[0]
        if get_origin(kind) is Literal:
            choices[name] = one_of(get_args(kind))
            kind = str
        kinds[name] = get_origin(kind) or kind
    return kinds, choices


RUN_OPTIONS, _choices = _run_options()
RULES |= _choices

_TYPE_NAMES = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text that is not blank",
    list: "a list of names such as [SER, R]",
}
_BOOLS = {"True": True, "true": True, "False": False, "false": False}
_FLOAT = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"


def parse(key, text, kind):
    """A value from the command line; what is none of its type stays text.

    Example
    -------
    >>> parse("lr", "1e-4", float), parse("test_variants", "[SER, R]", list)
    (0.0001, ['SER', 'R'])
    >>> parse("eps", "null", float), parse("lr", "fast", float)
    (None, 'fast')
    """
    if key in NULLABLE and text == "null":
        return None
    if kind is bool:
        return _BOOLS.get(text, text)
    if kind is int and re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if kind is float and re.fullmatch(_FLOAT, text):
        return float(text)
    if kind is list:
        text = re.sub(r"^\s*\[(.*)\]\s*$", r"\1", text)
        return [item.strip("'\"") for item in re.split(r"[\s,]+", text) if item]
    return text


def _has_type(value, kind):
    if kind is list:
        return isinstance(value, list) and all(isinstance(x, str) for x in value)
    if kind is str:
        return isinstance(value, str) and not value.isspace() and value != ""
    if isinstance(value, bool):  # Python takes it for a number too
        return kind is bool
    if kind is float:
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, kind)


def fault(key, value, kind):
    """What is wrong with a value: expected, found, nearest valid. None if nothing is.

    Example
    -------
    >>> fault("valid_split", "val", str)
    "expected one of valid, test; found 'val'; the nearest is valid"
    >>> fault("batch_size", 4, int)
    """
    if value is None and key in NULLABLE:
        return None
    if not _has_type(value, kind):
        expected = _TYPE_NAMES[kind] + (" or null" if key in NULLABLE else "")
        return f"expected {expected}; found {value!r}"
    rule = RULES.get(key)
    if rule is None or rule.holds(value):
        return None
    nearest = rule.nearest(value)
    hint = "" if nearest in (None, "[]") else f"; the nearest is {nearest}"
    return f"expected {rule.expected}; found {value!r}{hint}"
