"""A YAML file over its bases, before the command line.

A file may name a ``base`` and then hold only what differs. HyperPyYAML itself cannot
inherit flat keys: an included key could not be overridden.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hyperpyyaml.core import recursive_resolve
from ruamel.yaml.comments import CommentedMap

from polsess.config.rules import ConfigError, did_you_mean
from polsess.config.schema import NULLABLE, RUN_OPTIONS
from polsess.config.yaml_text import (
    PLACEHOLDER,
    REFERENCE,
    dump,
    is_tagged,
    read_file,
    resolve,
    survives,
)


@dataclass
class Layers:
    """A file merged over its bases.

    Attributes
    ----------
    path : Path
        The file.
    tree : CommentedMap
        All keys and values.
    kinds : dict
        The type of each key, as in the baseline; None for an object that is built
        from other keys.
    origins : dict
        The beginning of an error about each key.
    own : tuple, optional
        The keys of an evaluation itself, the only ones that may be set: the others
        belong to the run. None for a training.
    """

    path: Path
    tree: CommentedMap
    kinds: dict
    origins: dict
    own: tuple | None = None

    def settable(self):
        """The keys that an override may replace."""
        keys = self.tree if self.own is None else self.own
        return [key for key in keys if self.kinds[key] is not None]

    def refusal(self, key):
        """Why a key cannot be overridden; None if it can."""
        if key in self.settable() or (key in self.tree and key in RUN_OPTIONS):
            return None
        if key not in self.tree:
            return f"no key of {self.path.name}{did_you_mean(key, self.settable())}"
        if self.own is not None:
            return (
                "belongs to the run, and an evaluation takes it from there; "
                f"{self.path.name} lets you set {', '.join(self.settable())}"
            )
        parts = re.findall(r"!ref <(\w+)>", dump({key: self.tree[key]}))
        parts = ", ".join(dict.fromkeys(parts)) or "another YAML file"
        return f"is built from other keys; set these instead: {parts}"

    def overlay(self, upper):
        """Replace what an upper file gives, its header too; returns what is wrong."""
        problems = []
        allowed = self.tree if self.own is None else self.own
        for key, value in upper.tree.items():
            if upper.own is not None and key in RUN_OPTIONS:
                self.kinds.setdefault(key, RUN_OPTIONS[key])
            elif key not in allowed:
                hint = did_you_mean(key, allowed)
                problems.append(f"{upper.origins[key]}{key}: not in its base{hint}")
                continue
            self.tree[key] = value
            self.origins[key] = upper.origins[key]
        if upper.tree.ca.comment:
            self.tree.ca.comment = upper.tree.ca.comment
        self.own = upper.own if self.own is None else self.own
        self.path = upper.path
        return problems


def read_layers(path, given, problems, seen=()):
    """Merge a file over its bases.

    Arguments
    ---------
    path : str or path
        The file.
    given : dict
        What later layers say, for a ``base`` that refers to it.
    problems : list of str
        What is wrong is appended.
    seen : tuple of path
        The files that led here.

    Returns
    -------
    Layers

    Raises
    ------
    ConfigError
        If a file cannot be read at all.
    """
    path = Path(path)
    tree = read_file(path)
    base = tree.pop("base", None)
    layers = Layers(path, tree, {}, dict.fromkeys(tree, f"{path}: "))
    if base is None:
        layers.kinds = _baseline_kinds(layers)
        return layers
    if is_tagged(base, REFERENCE):
        layers.own = tuple(tree)
        base = _run_file(layers, base, {**tree, **given}, problems)
        if base is None:  # already a problem: go on to find others
            layers.kinds = {key: _kind(key, value) for key, value in tree.items()}
            return layers
    elif isinstance(base, str):
        base = path.parent / base
    else:
        raise ConfigError([f"{path}: base: expected a file name; found {base!r}"])
    seen = (*seen, path.resolve())
    if base.resolve() in seen:
        raise ConfigError([f"{path}: base: {base} leads back to itself; remove one"])
    lower = read_layers(base, {**tree, **given}, problems, seen)
    problems += lower.overlay(layers)
    return lower


def _run_file(layers, base, known, problems):
    """The hyperparameters of the run that an evaluation names, or None."""
    for key in re.findall(r"<(\w+)>", base.value):
        value = known.get(key)
        if is_tagged(value, PLACEHOLDER) or (
            isinstance(value, str) and not survives(value)
        ):
            return None  # reported when values are checked
    try:
        run_file = Path(recursive_resolve(base.value, [], known))
    except ValueError as error:
        raise ConfigError([f"{layers.path}: base: {error}"]) from None
    if os.path.isfile(run_file):  # Path.is_file raises where a name is too long
        return run_file
    problems.append(
        f"{layers.path}: base: expected {run_file.name} in {run_file.parent}, "
        "as a training writes it; found none; give the output_folder of a run"
    )
    return None


def _kind(key, value):
    if key in NULLABLE:
        return NULLABLE[key]
    if is_tagged(value, PLACEHOLDER) or is_tagged(value, REFERENCE):
        return str
    if is_tagged(value):
        return None
    return next(
        (k for k in (bool, int, float, str, list) if isinstance(value, k)), None
    )


def _baseline_kinds(layers):
    filled = CommentedMap(
        (key, "" if is_tagged(value, PLACEHOLDER) else value)
        for key, value in layers.tree.items()
    )
    try:
        resolved = resolve(filled)
    except ValueError as error:
        raise ConfigError([f"{layers.path}: {error}; correct the reference"]) from None
    untyped = [key for key, value in resolved.items() if value is None]
    problems = [
        f"{layers.path}: {key}: null tells no type; declare it in polsess.config.schema"
        for key in untyped
        if key not in NULLABLE
    ]
    if problems:
        raise ConfigError(problems)
    return {key: _kind(key, value) for key, value in resolved.items()}
