"""Configurations: a YAML file, what it is based on, and the command line.

``parse_arguments`` is for recipes, ``merge`` for programs that make up runs.
"""

from polsess.config.command_line import parse_arguments
from polsess.config.merge import merge
from polsess.config.rules import ConfigError

__all__ = ["ConfigError", "merge", "parse_arguments"]
