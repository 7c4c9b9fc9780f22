"""What a run may change when it is resumed."""

from pathlib import Path

from polsess.config.rules import ConfigError
from polsess.config.yaml_text import is_tagged, parse_text, resolve

# Changing any other key would make the run another one, while its folder, its log and
# its checkpoints claim to be the first.
MAY_CHANGE = {
    "data_folder",  # a corpus may have moved
    "demo_corpus",
    "output_folder",
    "scores_folder",
    "manifest_folder",
    "audit",
    "on_fault",
    "max_test_rows",
    "test_variants",
    "compute_pesq",
    "compute_stoi",
    "number_of_epochs",
    "early_stopping_patience",
    "num_workers",
    "precision",
    "nonfinite_patience",
    "ckpt_interval_minutes",
    "ckpt_interval_steps",
}


def refuse_changes(run_folder, hparams_yaml):
    """Refuse to resume a run under another configuration.

    Arguments
    ---------
    run_folder : str or path
        The run. Without a checkpoint in it there is nothing to resume, and anything
        goes.
    hparams_yaml : str
        The merged configuration to resume with.

    Raises
    ------
    ConfigError
        Naming every key that differs, with both values.
    """
    run_folder = Path(run_folder)
    run_file = run_folder / "hyperparams.yaml"
    if not run_file.exists() or not any(run_folder.glob("save/CKPT*")):
        return
    old = resolve(parse_text(run_file.read_text(encoding="utf-8")))
    new = resolve(parse_text(hparams_yaml))
    problems = [
        f"{key}: the run in {run_folder} has {old.get(key)}, found {new.get(key)}; "
        "keep it to resume, or set another output_folder for a new run"
        for key in dict.fromkeys([*old, *new])
        if key not in MAY_CHANGE
        and _is_plain(old.get(key))
        and _is_plain(new.get(key))
        and old.get(key) != new.get(key)
    ]
    if problems:
        raise ConfigError(problems)


def _is_plain(value):
    """Whether a value is no object that is built from other keys."""
    return not is_tagged(value) and not isinstance(value, dict)
