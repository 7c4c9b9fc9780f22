"""HyperPyYAML as a tree and back, keeping tags, references, order and comments."""

import re
from io import StringIO
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from polsess.config.rules import ConfigError

PLACEHOLDER, REFERENCE = "!PLACEHOLDER", "!ref"


class _Representer(RoundTripRepresenter):
    """Writes null and booleans as our YAML files do."""


_Representer.add_representer(
    type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null")
)
_Representer.add_representer(
    bool, lambda r, value: r.represent_scalar("tag:yaml.org,2002:bool", str(value))
)


def _yaml():
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.map_indent = 4
    yaml.width = 2**20
    return yaml


def parse_text(text):
    """The tree of a HyperPyYAML text."""
    # ruamel moves a comment after an empty tagged value to the next key.
    text = re.sub(r"(?m)^(\w+:\s+!PLACEHOLDER)(?=\s)", r"\1 ''", text)
    return _yaml().load(text)


def dump(tree):
    """The text of a tree.

    Example
    -------
    >>> dump(parse_text("task: !PLACEHOLDER  # to choose\\neps: null\\n"))
    'task: !PLACEHOLDER  # to choose\\neps: null\\n'
    """
    stream = StringIO()
    _yaml().dump(tree, stream)
    return stream.getvalue().replace(f"{PLACEHOLDER} ''", PLACEHOLDER)


def read_file(path):
    """The tree of a YAML file.

    Raises
    ------
    ConfigError
        If it is missing, unreadable or ill-formed, with the line.
    """
    try:
        tree = parse_text(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        problem = f"{path}: cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = f"{path}: expected UTF-8 text"
    except MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        problem = f"{path}, line {line}: ill-formed YAML: {error.problem}"
    except YAMLError as error:
        problem = f"{path}: ill-formed YAML: {error}"
    else:
        if isinstance(tree, CommentedMap):
            return tree
        problem = f"{path}: expected lines of `key: value`; found none"
    raise ConfigError([problem])


def is_tagged(value, tag=None):
    """Whether a value carries this YAML tag; without one, whether it carries any.

    Example
    -------
    >>> is_tagged(parse_text("lr: !ref <rate>")["lr"], REFERENCE), is_tagged(0.1)
    (True, False)
    """
    found = getattr(getattr(value, "tag", None), "value", None)
    return found is not None and tag in (None, found)


def resolve(tree):
    """A copy of a tree with its references replaced by what they refer to.

    Raises
    ------
    ValueError
        If a reference leads nowhere, or back to itself.

    Example
    -------
    >>> resolve(parse_text("a: 1\\nb: !ref <a> + 1"))["b"]
    2
    """
    return parse_text(resolve_references(dump(tree)).getvalue())


def survives(text):
    """Whether HyperPyYAML hands on text unchanged, by itself and within a reference.

    Example
    -------
    >>> survives("/corpora/PolSESS, no. 2 #1"), survives("(a)"), survives("<task>")
    (True, False, False)
    """
    if text.isidentifier():
        return True  # most values are: a load takes milliseconds
    if re.match(r"\(.*\)$", text):
        return False  # a tuple, but only to the first load of a process
    probe = parse_text("text: ''\nwithin: !ref <text>/x\n")
    probe["text"] = text
    try:
        text.encode()
        return load_hyperpyyaml(dump(probe)) == {"text": text, "within": f"{text}/x"}
    except (ArithmeticError, ValueError, YAMLError):  # HyperPyYAML does sums
        return False
