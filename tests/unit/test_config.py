"""Configurations: what wins, what is kept, what is refused and how."""

from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from polsess.config import ConfigError, merge, parse_arguments
from polsess.config.command_line import help_text, read_command_line
from polsess.config.layers import read_layers
from polsess.config.yaml_text import parse_text, resolve

HPARAMS = Path(__file__).parents[2] / "recipes/PolSESS/ConvTasNet/hparams"

BASE = """\
# The base.

seed: 1  # the seed
__set_seed: !apply:builtins.abs [!ref <seed>]

# Corpus
data_folder: !PLACEHOLDER  # the corpus
output_folder: !ref results/<task>/<seed>  # the run
sample_rate: 8000  # Hz

# Task
task: ES  # what to do
test_variants: [SER, R]
demo_corpus: False

# Training
lr: 0.1
max_grad_norm: 5.0
eps: null
precision: fp16
max_test_rows: null

counter: !new:collections.Counter
    lr: !ref <lr>
    rate: !ref <sample_rate>

make: !name:collections.Counter
    lr: !ref <lr>
"""
DIFFERENCE = """\
# The difference.

base: base.yaml

lr: 0.2  # faster
"""
EVALUATION = """\
base: !ref <output_folder>/hyperparams.yaml

output_folder: !PLACEHOLDER  # the run
data_folder: !PLACEHOLDER
demo_corpus: False
test_only: True
scores_folder: !ref <output_folder>
test_variants: [SER, C]
max_test_rows: null
"""


@pytest.fixture(autouse=True)
def no_data_root(monkeypatch):
    monkeypatch.delenv("POLSESS_DATA_ROOT", raising=False)


@pytest.fixture
def folder(tmp_path):
    """A folder with base.yaml and difference.yaml."""
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "difference.yaml").write_text(DIFFERENCE)
    return tmp_path


@pytest.fixture
def evaluation(folder):
    """The command line of an evaluation over a run of task EB."""
    run = folder / "run"
    run.mkdir()
    overrides = {"task": "EB", "data_folder": "/old", "lr": 1, "demo_corpus": True}
    overrides["output_folder"] = "/somewhere/else"
    text = merge(folder / "base.yaml", overrides).replace(
        "\nsample_rate", "\nscores_folder: !ref <output_folder>/old\nsample_rate"
    )
    (run / "hyperparams.yaml").write_text(text)
    (folder / "evaluate.yaml").write_text(EVALUATION)
    file = str(folder / "evaluate.yaml")
    return [file, "--output_folder", str(run), "--data_folder", "/new"]


def load(argv):
    return load_hyperpyyaml(read_command_line([str(word) for word in argv])[0])


def problems_of(argv):
    with pytest.raises(ConfigError) as error:
        read_command_line([str(word) for word in argv])
    return error.value.problems


# What wins


@pytest.mark.parametrize("on_command_line", [True, False])
@pytest.mark.parametrize("in_environment", [True, False])
@pytest.mark.parametrize("in_difference", [True, False])
@pytest.mark.parametrize("in_base", [True, False])
def test_data_folder_command_line_then_yaml_then_environment(
    folder, monkeypatch, in_base, in_difference, in_environment, on_command_line
):
    expected = None
    argv = [folder / "difference.yaml"]
    if in_environment:
        monkeypatch.setenv("POLSESS_DATA_ROOT", expected := "/environment")
    if in_base:
        text = BASE.replace("!PLACEHOLDER", expected := "/base")
        (folder / "base.yaml").write_text(text)
    if in_difference:
        text = f"{DIFFERENCE}data_folder: {(expected := '/difference')}\n"
        (folder / "difference.yaml").write_text(text)
    if on_command_line:
        argv += ["--data_folder", expected := "/command/line"]
    if expected is None:
        assert problems_of(argv) == [
            "data_folder: has no value; give --data_folder VALUE, "
            "or set POLSESS_DATA_ROOT"
        ]
    else:
        assert load(argv)["data_folder"] == expected


def test_a_placeholder_in_the_difference_hides_the_base(folder, monkeypatch):
    (folder / "base.yaml").write_text(BASE.replace("!PLACEHOLDER", "/base"))
    text = f"{DIFFERENCE}data_folder: !PLACEHOLDER\n"
    (folder / "difference.yaml").write_text(text)
    monkeypatch.setenv("POLSESS_DATA_ROOT", "/environment")
    assert load([folder / "difference.yaml"])["data_folder"] == "/environment"


def test_each_layer_replaces_the_one_below_it(folder):
    (folder / "sub").mkdir()
    text = "base: ../difference.yaml\nlr: 0.3\n"
    (folder / "sub" / "third.yaml").write_text(text)
    data = ["--data_folder", "/d"]
    assert load([folder / "base.yaml", *data])["lr"] == 0.1
    assert load([folder / "difference.yaml", *data])["lr"] == 0.2
    assert load([folder / "sub" / "third.yaml", *data])["lr"] == 0.3
    assert load([folder / "sub" / "third.yaml", *data, "--lr=0.4"])["lr"] == 0.4


# What is kept


def test_merged_text_is_plain_hyperpyyaml_with_its_references(folder):
    text = merge(folder / "difference.yaml", {"data_folder": "/d", "task": "SB"})
    hparams = load_hyperpyyaml(text)
    assert "base" not in hparams
    assert hparams["output_folder"] == "results/SB/1"
    assert hparams["counter"] == {"lr": 0.2, "rate": 8000}
    assert hparams["make"]() == {"lr": 0.2}
    later = load_hyperpyyaml(text, {"lr": 0.5, "seed": 7})
    assert later["counter"]["lr"] == 0.5
    assert later["output_folder"] == "results/SB/7"


def test_merged_text_keeps_comments_and_takes_the_header_of_the_file(folder):
    lines = merge(folder / "difference.yaml", {"data_folder": "/d"}).splitlines()
    assert lines[0] == "# The difference."
    assert "# The base." not in lines
    assert "seed: 1  # the seed" in lines
    assert "# Task" in lines
    assert "data_folder: /d # the corpus" in [" ".join(line.split()) for line in lines]
    assert "test_variants: [SER, R]" in lines
    assert "eps: null" in lines
    assert "demo_corpus: False" in lines


def test_merging_a_merged_text_changes_nothing(folder):
    text = merge(folder / "difference.yaml", {"data_folder": "/d", "lr": 1})
    (folder / "again.yaml").write_text(text)
    assert merge(folder / "again.yaml") == text
    assert load([folder / "again.yaml", "--lr", "0.25"])["lr"] == 0.25


ODD_VALUES = [
    "/a=b=c",
    "/a #b",
    "/with space/ and  two ",
    "/a, b",
    "[a, b]",
    "/zażółć/gęślą jaźń",
    "{a}",
    "a: b",
    "- a",
    "-a",
    "!ref x",
    "*a",
    "&a",
    "%a",
    "@a",
    "#",
    "=",
    "~",
    "null",
    "True",
    "012",
    "1e3",
    "2020-01-01",
    "'",
    '"',
    "a'b\"c",
    "back\\slash",
    "tab\there",
    "/(a)",
    "(a)/b",
    "x" * 300,
    "words " * 50 + "end",
    "😀",
    "<<",
    "a<b",
]


@pytest.mark.parametrize("value", ODD_VALUES)
def test_values_survive_as_they_are(folder, value):
    for words in (["--data_folder", value], [f"--data_folder={value}"]):
        text, _ = read_command_line([str(folder / "base.yaml"), *words])
        (folder / "hyperparams.yaml").write_text(text, encoding="utf-8")
        again = (folder / "hyperparams.yaml").read_text(encoding="utf-8")
        assert load_hyperpyyaml(again)["data_folder"] == value
        with_reference = again + "manifest_folder: !ref <data_folder>/m\n"
        assert load_hyperpyyaml(with_reference)["manifest_folder"] == f"{value}/m"


@pytest.mark.parametrize(
    "value", ["/a/<b>", "<seed>", "(a)", "(3, 4)", "\udcff", "1/0", "1/0/x"]
)
def test_what_hyperpyyaml_would_change_is_refused(folder, value):
    (problem,) = problems_of([folder / "base.yaml", f"--data_folder={value}"])
    assert problem.startswith("--data_folder: ")
    assert repr(value) in problem


def test_argv_stays_as_it_was(folder):
    argv = [str(folder / "base.yaml"), "--data_folder", "/d", "--lr=1"]
    before = list(argv)
    parse_arguments(argv)
    assert argv == before


# Types


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("seed", "7", 7),
        ("lr", "1", 1.0),
        ("lr", "1e-4", 1e-4),
        ("lr", "5E-1", 0.5),
        ("lr", ".5", 0.5),
        ("eps", "1e-4", 1e-4),
        ("eps", "null", None),
        ("max_test_rows", "10", 10),
        ("max_test_rows", "null", None),
        ("demo_corpus", "True", True),
        ("demo_corpus", "true", True),
        ("demo_corpus", "False", False),
        ("test_variants", "[SER, R]", ["SER", "R"]),
        ("test_variants", "['SER',\"R\"]", ["SER", "R"]),
        ("test_variants", "SER,R", ["SER", "R"]),
        ("test_variants", "C", ["C"]),
        ("output_folder", "5", "5"),
    ],
)
def test_types_follow_the_yaml(folder, key, text, expected):
    hparams = load([folder / "base.yaml", "--data_folder=/d", f"--{key}", text])
    assert hparams[key] == expected
    assert type(hparams[key]) is type(expected)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("seed", "1.0", "a whole number"),
        ("seed", "1_000", "a whole number"),
        ("seed", "null", "a whole number"),
        ("seed", "", "a whole number"),
        ("seed", "9" * 5000, "a whole number"),
        ("lr", "fast", "a finite number"),
        ("lr", "nan", "a finite number"),
        ("lr", "1e999", "a finite number"),
        ("lr", "True", "a finite number"),
        ("eps", "none", "a finite number or null"),
        ("max_test_rows", "1.5", "a whole number or null"),
        ("demo_corpus", "yes", "True or False"),
        ("demo_corpus", "1", "True or False"),
        ("data_folder", "", "text that is not blank"),
        ("data_folder", "  ", "text that is not blank"),
    ],
)
def test_wrong_types_are_refused(folder, key, text, expected):
    argv = [folder / "base.yaml", f"--{key}={text}"]
    if key != "data_folder":
        argv.append("--data_folder=/d")
    found = {"1e999": float("inf")}.get(text, text)
    assert problems_of(argv) == [f"--{key}: expected {expected}; found {found!r}"]


def test_values_of_the_yaml_files_are_checked_too(folder):
    (folder / "difference.yaml").write_text(
        "base: base.yaml\nlr: fast\nseed: 1.5\ntask: XX\ntest_variants: SER\n"
        "demo_corpus: 1\nprecision: null\noutput_folder: !ref <seed>\n"
    )
    problems = problems_of([folder / "difference.yaml", "--data_folder=/d"])
    assert len(problems) == 6  # the reference is looked at when the others are right
    path = folder / "difference.yaml"
    assert f"{path}: lr: expected a finite number; found 'fast'" in problems
    assert f"{path}: seed: expected a whole number; found 1.5" in problems
    assert f"{path}: demo_corpus: expected True or False; found 1" in problems
    assert any(p.startswith(f"{path}: task: expected one of ES, ") for p in problems)
    assert any(p.startswith(f"{path}: precision: ") for p in problems)
    assert any(p.startswith(f"{path}: test_variants: ") for p in problems)


def test_a_reference_has_the_type_that_it_leads_to(folder):
    path = folder / "difference.yaml"
    path.write_text("base: base.yaml\noutput_folder: !ref <seed>\n")
    assert problems_of([path, "--data_folder=/d"]) == [
        f"{path}: output_folder: expected text that is not blank; found 1"
    ]


# Impossible values


@pytest.mark.parametrize(
    ("key", "text", "expected", "nearest"),
    [
        ("task", "EBB", "one of ES, EB, SB", "EB"),
        ("precision", "f16", "one of fp32, fp16, bf16", "fp16"),
        ("valid_split", "val", "one of valid, test", "valid"),
        ("audit", "ful", "one of full, sample, none", "full"),
        ("on_fault", "refused", "one of refuse, drop", "refuse"),
        ("norm_type", "GLN", "one of gLN, cLN", "gLN"),
        ("mask_nonlinear", "relu6", "one of relu, softmax", "relu"),
        ("train_variants", "SERR,C", "some of SER, SR, ER, R, C, SE, S, E", "[SER, C]"),
        ("test_variants", "[R, R]", "some of SER, SR", "[R]"),
        ("valid_variants", "[]", "some of SER, SR", None),
        ("lr", "0", "a number greater than 0", None),
        ("weight_decay", "-1", "at least 0", "0"),
        ("max_grad_norm", "-5", "a number greater than 0", None),
        ("max_grad_norm", "0", "a number greater than 0", None),
        ("lr_factor", "0", "a number greater than 0 and at most 1", None),
        ("lr_factor", "1.5", "a number greater than 0 and at most 1", None),
        ("lr_patience", "-1", "at least 1", "1"),
        ("early_stopping_patience", "-1", "at least 0", "0"),
        ("batch_size", "0", "at least 1", "1"),
        ("number_of_epochs", "0", "at least 1", "1"),
        ("num_workers", "-2", "at least 0", "0"),
        ("grad_accumulation_factor", "0", "at least 1", "1"),
        ("kernel_size", "15", "an even number, at least 2", "16"),
        ("kernel_size", "0", "an even number, at least 2", "2"),
        ("block_kernel_size", "4", "an odd number, at least 1", "5"),
        ("num_blocks", "0", "at least 1", "1"),
        ("sample_rate", "0", "at least 1", "1"),
        ("eps", "0", "a number greater than 0", None),
        ("max_train_rows", "0", "at least 1", "1"),
        ("ckpt_interval_minutes", "-1", "at least 0", "0"),
        ("ckpt_interval_steps", "-1", "at least 0", "0"),
        ("nonfinite_patience", "-1", "at least 1", "1"),
        ("seed", "-1", "at least 0 and at most 4294967295", "0"),
        ("seed", "4294967296", "at least 0 and at most 4294967295", "4294967295"),
        ("device", "cpuu", "a device of this machine", "cpu"),
        ("compile_mode", "max", "one of default, reduce-overhead, max-autotune", None),
        ("debug_batches", "0", "at least 1", "1"),
    ],
)
def test_impossible_values_are_refused(key, text, expected, nearest):
    argv = [HPARAMS / "convtasnet.yaml", "--data_folder=/d", f"--{key}", text]
    (problem,) = problems_of(argv)
    assert problem.startswith(f"--{key}: expected {expected}")
    assert "; found " in problem
    if nearest:
        assert problem.endswith(f"; the nearest is {nearest}")


def test_bounds_themselves_are_possible():
    argv = [HPARAMS / "convtasnet.yaml", "--data_folder=/d", "--seed=0"]
    argv += ["--batch_size=1", "--lr_factor=1", "--num_workers=0", "--weight_decay=0"]
    argv += ["--kernel_size=2", "--block_kernel_size=1", "--max_train_rows=1"]
    text, _ = read_command_line([str(word) for word in argv])
    assert "\nbatch_size: 1 " in text
    assert "\nweight_decay: 0.0\n" in text


# Run options


def test_run_options_reach_speechbrain_and_the_yaml(folder):
    argv = [str(folder / "base.yaml"), "--data_folder=/d", "--precision", "bf16"]
    argv += ["--max_grad_norm=2", "--device", "cpu", "--debug", "--compile=False"]
    argv += ["--compile_module_keys", "encoder", "decoder", "--debug_batches", "3"]
    text, run_opts = read_command_line(argv)
    hparams = load_hyperpyyaml(text)
    assert (hparams["precision"], run_opts.precision) == ("bf16", "bf16")
    assert (hparams["max_grad_norm"], run_opts.max_grad_norm) == (2.0, 2.0)
    assert run_opts.device == "cpu"
    assert run_opts.debug is True
    assert run_opts.debug_batches == 3
    assert run_opts.compile is False
    assert run_opts.compile_module_keys == ["encoder", "decoder"]
    assert run_opts.param_file == str(folder / "base.yaml")
    assert run_opts.overridden_args == {
        *("precision", "max_grad_norm", "device", "debug", "compile"),
        *("compile_module_keys", "debug_batches"),
    }
    assert "device" not in hparams


@pytest.mark.parametrize("name", ["debug", "compile", "test_only", "noprogressbar"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--{}"], True),
        (["--{}", "True"], True),
        (["--{}", "False"], False),
        (["--{}=False"], False),
        (["--{}=true"], True),
    ],
)
def test_flags_mean_what_they_say(folder, name, words, expected):
    words = [word.format(name) for word in words]
    argv = [str(folder / "base.yaml"), *words, "--data_folder=/d", "--seed", "3"]
    text, run_opts = read_command_line(argv)
    assert run_opts[name] is expected
    assert name in run_opts.overridden_args
    assert load_hyperpyyaml(text)["seed"] == 3


def test_without_run_options_none_is_overridden(folder):
    _, run_opts = read_command_line([str(folder / "base.yaml"), "--data_folder=/d"])
    assert run_opts.overridden_args == set()


@pytest.mark.parametrize("value", ["no", "0", "Falsch"])
def test_a_flag_takes_no_other_word(folder, value):
    argv = [folder / "base.yaml", "--data_folder=/d", "--debug", value]
    assert problems_of(argv) == [f"--debug: expected True or False; found {value!r}"]


# Refused command lines


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--sede", "1"], ["--sede: ", "did you mean seed?"]),
        (["--tsak=EB"], ["--tsak: ", "did you mean task?"]),
        (["--prec", "fp16"], ["--prec: ", "did you mean precision?"]),
        (["--prec=fp16"], ["--prec: ", "did you mean precision?"]),
        (["--devise", "cpu"], ["--devise: ", "did you mean device?"]),
        (["--Seed", "1"], ["--Seed: ", "did you mean seed?"]),
        (["--zzzzzz", "1"], ["--zzzzzz: neither a key of base.yaml nor a run option"]),
        (["--base", "x.yaml"], ["--base: neither a key of base.yaml nor "]),
        (["--param_file", "x"], ["--param_file: neither a key"]),
        (["--auto_mix_prec"], ["--auto_mix_prec: deprecated", "--precision fp16"]),
        (["--seed", "1", "--seed=2"], ["--seed: given twice"]),
        (["--seed"], ["--seed: its value is missing"]),
        (["--demo_corpus"], ["--demo_corpus: its value is missing"]),
        (["--seed", "--lr", "1"], ["--seed: its value is missing"]),
        (["--device"], ["--device: its value is missing"]),
        (["--test_variants"], ["--test_variants: its value is missing"]),
        (["stray"], ["stray: expected --key value"]),
        (["--seed=1", "stray"], ["stray: expected --key value"]),
        (["--seed", "1", "stray"], ["--seed: expected one value", "'stray'"]),
        (["-seed", "1"], ["-seed: expected --key value"]),
        (["--counter", "1"], ["--counter: is built from ", "lr, sample_rate"]),
        (
            ["--__set_seed", "1"],
            ["--__set_seed: is built from ", "these instead: seed"],
        ),
    ],
)
def test_refused_command_lines(folder, words, expected):
    problems = problems_of([folder / "base.yaml", "--data_folder=/d", *words])
    (problem,) = [p for p in problems if p.startswith(expected[0])]
    assert all(part in problem for part in expected)


def test_all_problems_come_at_once(folder):
    argv = [folder / "base.yaml", "--sede", "1", "--lr", "fast", "--task=XX", "--seed"]
    argv += [
        "--debug",
        "maybe",
        "--device",
        "cpuu",
        "--max_grad_norm",
        "-1",
        "--prec=1",
    ]
    problems = problems_of(argv)
    names = {problem.split(":")[0] for problem in problems}
    options = {"--sede", "--lr", "--task", "--seed", "--debug", "--device", "--prec"}
    assert names == {*options, "--max_grad_norm", "data_folder"}
    assert len(problems) == len(names)


def test_the_report_lists_each_problem(folder):
    with pytest.raises(ConfigError) as error:
        read_command_line([str(folder / "base.yaml"), "--sede", "1"])
    assert str(error.value).splitlines() == [
        "2 problems:",
        *(f"  - {problem}" for problem in error.value.problems),
    ]


def test_merge_refuses_what_the_command_line_refuses(folder):
    with pytest.raises(ConfigError) as error:
        merge(folder / "base.yaml", {"data_folder": "/d", "sede": 1, "lr": -1})
    assert error.value.problems == [
        "sede: no key of base.yaml; did you mean seed?",
        "lr: expected a number greater than 0; found -1",
    ]


# Refused files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nseed: 2\n", 'line 2: ill-formed YAML: found duplicate key "seed"'),
        ("seed: 1\nlr: [1\ntask: ES\n", "line 3: ill-formed YAML: "),
        ("seed: 1\n\tlr: 1\n", "line 2: ill-formed YAML: "),
        ("- 1\n- 2\n", "expected lines of `key: value`"),
        ("", "expected lines of `key: value`"),
        ("a: !ref <nothing>\n", 'The reference "nothing" is not valid'),
        ("a: null\n", "a: null tells no type"),
        ("base: [1]\n", "base: expected a file name"),
        ("base: missing.yaml\n", "missing.yaml: cannot be read: No such file"),
    ],
)
def test_faulty_files_are_refused_by_name(tmp_path, text, expected):
    path = tmp_path / "faulty.yaml"
    path.write_text(text)
    (problem,) = problems_of([path])
    assert problem.startswith(str(tmp_path))
    assert expected in problem


def test_files_that_cannot_be_read(tmp_path):
    (problem,) = problems_of([tmp_path / "none.yaml", "--seed=1"])
    assert problem == f"{tmp_path / 'none.yaml'}: cannot be read: " + (
        "No such file or directory"
    )
    (problem,) = problems_of([tmp_path])
    assert problem == f"{tmp_path}: cannot be read: Is a directory"
    (tmp_path / "latin.yaml").write_bytes("a: gęś".encode("iso8859-2"))
    (problem,) = problems_of([tmp_path / "latin.yaml"])
    assert problem.endswith("latin.yaml: expected UTF-8 text")
    (problem,) = problems_of(["--seed", "1"])
    assert "expected the YAML file first" in problem


def test_a_difference_may_not_add_keys(folder):
    path = folder / "difference.yaml"
    path.write_text(DIFFERENCE + "sede: 3\ntest_only: True\n")
    assert problems_of([path, "--data_folder=/d", "--tsk=EB"])[:2] == [
        f"{path}: sede: not in its base; did you mean seed?",
        f"{path}: test_only: not in its base; did you mean test_variants?",
    ]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_of_bases_is_refused(tmp_path, length):
    for index in range(length):
        text = f"base: {(index + 1) % length}.yaml\n"
        (tmp_path / f"{index}.yaml").write_text(text)
    (problem,) = problems_of([tmp_path / "0.yaml"])
    assert f"{tmp_path / '0.yaml'} leads back to itself" in problem


# Evaluation


def test_an_evaluation_takes_the_rest_from_the_run(evaluation):
    text, run_opts = read_command_line(evaluation)
    hparams = load_hyperpyyaml(text)
    run = evaluation[2]
    assert hparams["task"] == "EB"  # the run's
    assert hparams["lr"] == 1.0
    assert hparams["data_folder"] == "/new"
    assert hparams["output_folder"] == hparams["scores_folder"] == run
    assert hparams["test_variants"] == ["SER", "C"]
    assert hparams["demo_corpus"] is False
    assert hparams["test_only"] is True
    assert run_opts.overridden_args == set()


def test_an_evaluation_lets_its_own_keys_and_run_options_be_set(evaluation):
    argv = [*evaluation, "--scores_folder", "/s", "--test_variants=R", "--device=cpu"]
    text, run_opts = read_command_line([*argv, "--precision=bf16", "--max_test_rows=5"])
    hparams = load_hyperpyyaml(text)
    assert hparams["scores_folder"] == "/s"
    assert hparams["test_variants"] == ["R"]
    assert hparams["max_test_rows"] == 5
    assert hparams["precision"] == run_opts.precision == "bf16"
    assert run_opts.device == "cpu"


@pytest.mark.parametrize(
    "words", [["--task", "EB"], ["--lr=1"], ["--counter=1"], ["--eps", "1e-4"]]
)
def test_what_belongs_to_the_run_cannot_be_set(evaluation, words):
    (problem,) = problems_of([*evaluation, *words])
    key = words[0].split("=")[0]
    assert problem.startswith(f"{key}: belongs to the run")
    assert "output_folder, data_folder, demo_corpus, test_only" in problem


@pytest.mark.parametrize("words", [["--test_only", "False"], ["--demo_corpus=True"]])
def test_an_evaluation_neither_trains_nor_makes_a_corpus(evaluation, words):
    (problem,) = problems_of([*evaluation, *words])
    assert problem.startswith(words[0].split("=")[0] + ": must be ")


def test_an_evaluation_does_not_read_the_data_folder_of_the_run(
    evaluation, monkeypatch
):
    without = evaluation[:3]
    assert problems_of(without) == [
        "data_folder: has no value; give --data_folder VALUE, or set POLSESS_DATA_ROOT"
    ]
    monkeypatch.setenv("POLSESS_DATA_ROOT", "/environment")
    assert load(without)["data_folder"] == "/environment"


def test_an_evaluation_without_a_run_is_refused_with_all_else(evaluation, tmp_path):
    file = evaluation[0]
    argv = [file, "--output_folder", tmp_path / "no", "--data_folder=/d", "--tset_only"]
    problems = problems_of(argv)
    assert len(problems) == 2
    assert problems[0].startswith(f"{file}: base: expected hyperparams.yaml in ")
    assert str(tmp_path / "no") in problems[0]
    assert problems[1].startswith("--tset_only: ")
    assert problems[1].endswith("did you mean test_only?")
    assert problems_of([file, "--data_folder=/d"]) == [
        "output_folder: has no value; give --output_folder VALUE"
    ]
    (problem,) = problems_of([file, "--data_folder=/d", "--output_folder=<a>"])
    assert problem.startswith("--output_folder: expected text")


def test_the_run_is_looked_for_in_the_working_directory(evaluation, monkeypatch):
    folder = Path(evaluation[0]).parent
    monkeypatch.chdir(folder)
    (folder / "deeper").mkdir()
    (folder / "deeper" / "evaluate.yaml").write_text(EVALUATION)
    argv = ["deeper/evaluate.yaml", "--output_folder=run", "--data_folder=/d"]
    assert load(argv)["task"] == "EB"


def test_a_difference_from_an_evaluation_keeps_to_its_keys(evaluation):
    path = Path(evaluation[0]).parent / "mine.yaml"
    text = f"base: evaluate.yaml\noutput_folder: {evaluation[2]}\ntest_variants: [C]\n"
    path.write_text(text)
    hparams = load([path, "--data_folder=/d"])
    assert (hparams["task"], hparams["test_variants"]) == ("EB", ["C"])
    path.write_text(f"{text}task: ES\n")
    assert problems_of([path, "--data_folder=/d"]) == [f"{path}: task: not in its base"]


# Exits and help


def exit_of(argv, capsys):
    with pytest.raises(SystemExit) as error:
        parse_arguments([str(word) for word in argv])
    return error.value.code, *capsys.readouterr()


def test_errors_exit_with_2_and_go_to_stderr(folder, capsys):
    status, out, err = exit_of([folder / "base.yaml", "--sede=1"], capsys)
    assert (status, out) == (2, "")
    assert "--sede: " in err
    assert "data_folder: has no value" in err
    status, out, err = exit_of([], capsys)
    assert (status, out) == (2, "")
    assert err.startswith("usage: ")
    status, out, err = exit_of([folder / "none.yaml", "--help"], capsys)
    assert (status, out) == (2, "")
    assert "none.yaml: cannot be read" in err


def test_other_ranks_exit_in_silence(folder, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert exit_of([folder / "none.yaml"], capsys) == (2, "", "")


def test_help_lists_the_run_options(capsys):
    status, out, err = exit_of(["--help"], capsys)
    assert (status, err) == (0, "")
    for part in ("--device STR", "--precision STR", "fp32, fp16, bf16", "--debug"):
        assert part in out
    assert "--compile_module_keys" in out
    assert "auto_mix_prec" not in out
    assert "POLSESS_DATA_ROOT" in out


@pytest.mark.parametrize(
    "argv", [["{}", "--help"], ["-h", "{}"], ["{}", "--lr=x", "-h"]]
)
def test_help_lists_the_keys_of_a_file(folder, argv):
    lines = help_text([word.format(folder / "difference.yaml") for word in argv])
    lines = [" ".join(line.split()) for line in lines.splitlines()]
    assert "# The difference." in lines
    assert "# Training" in lines
    assert "lr: 0.2" in lines
    assert "data_folder: !PLACEHOLDER # the corpus" in lines
    assert "output_folder: !ref results/<task>/<seed> # the run" in lines
    assert not any("counter" in line or "__set_seed" in line for line in lines)


def test_help_of_an_evaluation_lists_its_own_keys(evaluation):
    text = help_text([evaluation[0], "--help"])
    assert "output_folder: !PLACEHOLDER  # the run" in text
    assert "test_variants: [SER, C]" in text
    assert "task" not in text


# The configurations of the recipe


@pytest.fixture
def one_thread():
    """Building a network runs many tiny convolutions, which threads only slow down."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.mark.parametrize(
    ("name", "overrides", "num_parameters"),
    [
        ("convtasnet", {}, 8_643_136),
        ("causal", {}, 8_643_136),
        ("small", {}, 1_249_060),
        ("small", {"task": "SB"}, 1_265_444),  # a second mask
        ("sb", {}, 8_708_672),
        pytest.param("large", {}, 42_771_536, marks=pytest.mark.slow),
        pytest.param("large", {"num_repeats": 4}, 34_325_568, marks=pytest.mark.slow),
    ],
)
def test_sizes_of_the_networks(name, overrides, num_parameters, tmp_path, one_thread):
    overrides |= {"data_folder": "/d", "output_folder": str(tmp_path)}
    hparams = load_hyperpyyaml(merge(HPARAMS / f"{name}.yaml", overrides))
    parts = hparams["modules"].values()
    found = sum(p.numel() for part in parts for p in part.parameters())
    assert found == num_parameters


def resolved(name):
    """The values of a configuration, its objects not built."""
    text = merge(HPARAMS / f"{name}.yaml", {"data_folder": "/d"})
    return resolve(parse_text(text))


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        (
            "large",
            {"number_of_epochs": 50, "batch_size": 2, "lr": 5e-4}
            | {"num_filters": 512, "bottleneck_channels": 512}
            | {"hidden_channels": 1024, "num_repeats": 5}
            | {"output_folder": "results/convtasnet_large_ES/42"},
        ),
        (
            "small",
            {"number_of_epochs": 20, "batch_size": 8}
            | {"num_filters": 128, "bottleneck_channels": 128}
            | {"hidden_channels": 256, "num_blocks": 6, "num_repeats": 3}
            | {"output_folder": "results/convtasnet_small_ES/42"},
        ),
        (
            "eb",
            {"task": "EB", "number_of_epochs": 20}
            | {"output_folder": "results/convtasnet_EB/42"},
        ),
        ("sb", {"task": "SB", "output_folder": "results/convtasnet_SB/42"}),
        ("low_lr", {"lr": 1e-4, "output_folder": "results/convtasnet_low_lr_ES/42"}),
        (
            "causal",
            {"norm_type": "cLN", "causal": True}
            | {"output_folder": "results/convtasnet_causal_ES/42"},
        ),
    ],
)
def test_a_configuration_differs_from_the_baseline_just_so(name, differences):
    base, found = resolved("convtasnet"), resolved(name)
    keys = read_layers(HPARAMS / "convtasnet.yaml", {}, []).settable()
    follows = {"scores_folder", "manifest_folder"}
    changed = {key: found[key] for key in keys if found[key] != base[key]}
    assert {k: v for k, v in changed.items() if k not in follows} == differences
    assert found["masknet"]["N"] == found["num_filters"]
    assert found["opt_class"]["lr"] == found["lr"]


@pytest.mark.parametrize(("name", "task"), [("small", "ES"), ("sb", "SB")])
def test_the_evaluation_fits_the_runs_of_the_recipe(name, task, tmp_path):
    text = merge(HPARAMS / f"{name}.yaml", {"data_folder": "/d"})
    (tmp_path / "hyperparams.yaml").write_text(text)
    argv = [str(HPARAMS / "evaluate.yaml"), f"--output_folder={tmp_path}"]
    text, _ = read_command_line([*argv, "--data_folder=/e", "--compute_pesq=False"])
    hparams = resolve(parse_text(text))
    assert hparams["task"] == task
    assert hparams["compute_pesq"] is False
    assert hparams["demo_corpus"] is False
    assert hparams["test_only"] is True
    assert hparams["manifest_folder"] == f"{tmp_path}/test_manifest"
    assert hparams["checkpointer"]["checkpoints_dir"] == f"{tmp_path}/save"
