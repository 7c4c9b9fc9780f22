"""The command line of a recipe: FILE.yaml, then its keys and the run options.

SpeechBrain's own parser takes ``--debug False`` for True, cuts values at `` #``, makes
a space of ``=``, and accepts abbreviations without applying them. Here each of these
means what it says or is refused.
"""

import re
import sys
import textwrap

from speechbrain.utils.distributed import get_rank
from speechbrain.utils.run_opts import HELP_TEXTS, RunOptions

from polsess.config.layers import read_layers
from polsess.config.merge import DATA_ROOT_VARIABLE, finish
from polsess.config.rules import ConfigError, did_you_mean
from polsess.config.schema import REPLACED_OPTIONS, RULES, RUN_OPTIONS, fault, parse
from polsess.config.yaml_text import dump

USAGE = "usage: train.py FILE.yaml [--key value | --key=value]..."
_HELP = {"-h", "--help"}

# What --debug leaves must not mix with a run.
DEBUG_FOLDER = "results/debug"


def parse_arguments(argv):
    """Merge the configuration of a command line; exits on --help and on errors.

    Arguments
    ---------
    argv : list of str
        The command line after the program's name.

    Returns
    -------
    hparams_yaml : str
        The merged HyperPyYAML, for ``load_hyperpyyaml`` and for the run's folder.
    run_opts : RunOptions
        For SpeechBrain's Brain.

    Raises
    ------
    SystemExit
        With status 0 after help, with 2 after an error, which goes to stderr.
    """
    try:
        if not _HELP.isdisjoint(argv):
            status, stream, text = 0, sys.stdout, help_text(argv)
        elif not argv:
            status, stream = 2, sys.stderr
            text = f"{USAGE}\n       train.py [FILE.yaml] --help\n"
        else:
            return read_command_line(argv)
    except ConfigError as error:
        status, stream = 2, sys.stderr
        text = f"{error}\nNothing was started. See train.py [FILE.yaml] --help.\n"
    if get_rank() in (None, 0):  # one of the processes of torchrun
        stream.write(text)
    raise SystemExit(status)


def read_command_line(argv):
    """As ``parse_arguments``, but raises a ConfigError with all that is wrong."""
    file, *words = argv
    if file.startswith("-"):
        raise ConfigError([f"{file}: expected the YAML file first; {USAGE}"])
    problems = []
    given = _split(words, problems)
    # An evaluation's base is named by a key; all others are parsed by the base's types.
    texts = {name: values[0] for name, values in given.items() if values}
    try:
        layers = read_layers(file, texts, problems)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    overrides, options = {}, {}
    for name, values in given.items():
        kind = RUN_OPTIONS.get(name) or layers.kinds.get(name)
        reason = _unknown(name, layers) or _count_fault(name, values, kind)
        if reason:
            problems.append(f"--{name}: {reason}")
            continue
        value = parse(name, " ".join(values) if values else "True", kind)
        if name in RUN_OPTIONS:
            options[name] = value
        if name in layers.tree:
            overrides[name] = value
        elif reason := fault(name, value, kind):
            problems.append(f"--{name}: {reason}")
    if options.get("debug") and not options.get("debug_persistently"):
        if layers.own is not None:
            problems.append("--debug: an evaluation takes --max_test_rows instead")
        elif "output_folder" in layers.tree:
            overrides["output_folder"] = DEBUG_FOLDER
    text = finish(layers, overrides, problems, origin="--")
    if problems:
        raise ConfigError(problems)
    return text, RunOptions(param_file=file, overridden_args=set(options), **options)


def _split(words, problems):
    """The values that follow each ``--name``."""
    given, name = {}, None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in given:
                problems.append(f"--{name}: given twice; give it once")
            given[name] = [value] if equals else []
            name = None if equals else name
        elif name is None:
            problems.append(f"{word}: expected --key value; quote a value with spaces")
        else:
            given[name].append(word)
    return given


def _unknown(name, layers):
    if name in RUN_OPTIONS:
        return None
    if name in REPLACED_OPTIONS:
        return f"deprecated by SpeechBrain; use {REPLACED_OPTIONS[name]}"
    if name in layers.tree:
        return layers.refusal(name)
    hint = did_you_mean(name, [*layers.settable(), *RUN_OPTIONS])
    return f"neither a key of {layers.path.name} nor a run option{hint}"


def _count_fault(name, values, kind):
    """What is wrong with the number of values: flags may have none, lists several."""
    if not values and name in RUN_OPTIONS and kind is bool:
        return None
    if not values:
        return f"its value is missing; give --{name} VALUE"
    if len(values) > 1 and kind is not list:
        extra = " ".join(values[1:])
        return f"expected one value; found also {extra!r}; quote a value with spaces"
    return None


def help_text(argv):
    """What ``--help`` shows: of the run options, or of the keys of a YAML file.

    Raises
    ------
    ConfigError
        If the YAML file cannot be read.
    """
    files = [word for word in argv if not word.startswith("-")]
    if files:
        return _keys_help(files[0])
    lines = [
        USAGE,
        "",
        "The keys of a YAML file, with their values: train.py FILE.yaml --help",
        f"Where the YAML leaves data_folder open, {DATA_ROOT_VARIABLE} gives it.",
        "",
        "Run options, which come before the YAML:",
    ]
    for name, kind in RUN_OPTIONS.items():
        values = {bool: "[True|False]", list: "NAME,..."}.get(
            kind, kind.__name__.upper()
        )
        lines.append(f"  --{name} {values}")
        text = HELP_TEXTS.get(name, f"Keys of `modules` for --{name.split('_')[0]}.")
        if name in RULES:
            text = f"{text.rstrip('.')}. Here: {RULES[name].expected}."
        lines.append(textwrap.indent(textwrap.fill(text, 80), " " * 6))
    return "\n".join(lines) + "\n"


def _keys_help(file):
    layers = read_layers(file, {}, problems := [])
    if problems:
        raise ConfigError(problems)
    settable = set(layers.settable())
    lines = []
    for line in dump(layers.tree).splitlines():
        key = re.match(r"(\w+):", line)
        if not line or line.startswith("#") or (key and key[1] in settable):
            lines.append(line)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return f"{USAGE}\nRun options: train.py --help\n\n{text}\n"
