"""One YAML out of several: base < file < overrides, checked."""

import os

from ruamel.yaml.comments import CommentedSeq

from polsess.config.layers import read_layers
from polsess.config.rules import ConfigError
from polsess.config.schema import fault
from polsess.config.yaml_text import (
    PLACEHOLDER,
    REFERENCE,
    dump,
    is_tagged,
    resolve,
    survives,
)

DATA_ROOT_VARIABLE = "POLSESS_DATA_ROOT"

# An evaluation that trained, or made a corpus, would change the run.
_IN_EVALUATION = {"test_only": True, "demo_corpus": False}


def merge(file, overrides=None):
    """Merge a YAML file over its bases, override, and check every value.

    Arguments
    ---------
    file : str or path
        May name ``base: other.yaml``, beside it, or as an evaluation does
        ``base: !ref <output_folder>/hyperparams.yaml``, from the working directory.
    overrides : dict
        Values by key.

    Returns
    -------
    str
        HyperPyYAML with its references and comments, without ``base``.

    Raises
    ------
    ConfigError
        Naming every unknown key, and every wrong, impossible or missing value.
    """
    problems = []
    overrides = overrides or {}
    layers = read_layers(file, overrides, problems)
    text = finish(layers, overrides, problems)
    if problems:
        raise ConfigError(problems)
    return text


def finish(layers, overrides, problems, origin=""):
    """Override layers, fill the data folder, check all values.

    Arguments
    ---------
    layers : Layers
        Is changed.
    overrides : dict
        Values by key.
    problems : list of str
        What is wrong is appended.
    origin : str
        What stands before an override's key in an error.

    Returns
    -------
    str
        The merged text; to be thrown away when there are problems.
    """
    tree = layers.tree
    for key, value in overrides.items():
        reason = layers.refusal(key)
        if reason:
            problems.append(f"{origin}{key}: {reason}")
        else:
            tree[key] = value
            layers.origins[key] = origin
    data_root = os.environ.get(DATA_ROOT_VARIABLE)
    if data_root and is_tagged(tree.get("data_folder"), PLACEHOLDER):
        tree["data_folder"] = data_root
        layers.origins["data_folder"] = f"{DATA_ROOT_VARIABLE}: "
    if layers.own is not None:
        problems += [
            f"{layers.origins[key]}{key}: must be {value} to evaluate a run"
            for key, value in _IN_EVALUATION.items()
            if key in tree and tree[key] != value
        ]
    problems += _check(layers)
    return dump(tree)


def _check(layers):
    """What is wrong with the values; gives those that are right their final form."""
    problems = []
    references = []
    for key, value in layers.tree.items():
        if is_tagged(value, PLACEHOLDER):
            also = f", or set {DATA_ROOT_VARIABLE}" if key == "data_folder" else ""
            problems.append(f"{key}: has no value; give --{key} VALUE{also}")
        elif layers.kinds[key] is None:
            continue
        elif is_tagged(value, REFERENCE):
            references.append(key)
        else:
            problems += _check_value(layers, key, value)
            layers.tree[key] = _final_form(value, layers.kinds[key])
    if problems:
        return problems  # the references may lead to what is wrong
    try:
        resolved = resolve(layers.tree)
    except ValueError as error:
        return [f"{layers.path}: {error}; correct the reference"]
    return [p for key in references for p in _check_value(layers, key, resolved[key])]


def _check_value(layers, key, value):
    reason = fault(key, value, layers.kinds[key])
    texts = value if isinstance(value, list) else [value]
    changed = [x for x in texts if isinstance(x, str) and not survives(x)]
    if changed and not reason:
        reason = (
            "expected text that HyperPyYAML hands on unchanged; "
            f"found {value!r}; it reads <...> as a reference, (...) as a tuple, 1/0 as "
            "a sum, and cannot hold what is not UTF-8"
        )
    return [f"{layers.origins[key]}{key}: {reason}"] if reason else []


def _final_form(value, kind):
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # a number without a point would be read as an integer
    if type(value) is list:
        value = CommentedSeq(value)
        value.fa.set_flow_style()
    return value
