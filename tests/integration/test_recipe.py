"""The recipe by its command line: train, kill, resume, evaluate."""

import csv
import hashlib
import re
import shutil
from pathlib import Path

import pytest
from corpus_maker import make_corpus
from hyperpyyaml import load_hyperpyyaml
from recipe import evaluate, train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve rows to train on, four to validate, four to test, in turn in and out."""
    folder = tmp_path_factory.mktemp("corpora") / "Tiny"
    return make_corpus(folder, {"train": 12, "val": 4, "test": 4})


# So wild that scores fall: the rate is lowered, and the best epoch is not the last.
WILD = {
    "ckpt_interval_steps": 2,
    "number_of_epochs": 4,
    "lr": 0.5,
    "lr_factor": 0.5,
    "lr_patience": 1,
    "weight_decay": 0.3,
}


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A run of four epochs, with a checkpoint every other batch; its output."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    return folder, train(corpus, folder, **WILD)


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def epochs(folder):
    """The lines of train_log.txt without times and memory."""
    log = (folder / "train_log.txt").read_text()
    return re.sub(r"(seconds_per_batch|peak_memory_gb): \S+", "", log).splitlines()


def checkpoints(folder):
    """Epochs of the finished checkpoints, from the older to the last."""
    metas = [meta.read_text() for meta in (folder / "save").glob("CKPT*/CKPT.yaml")]
    return sorted(float(re.search(r"(?m)^epoch: (\S+)", meta)[1]) for meta in metas)


def last_checkpoint(folder):
    """All that the last checkpoint holds, the time apart."""
    last = max((folder / "save").glob("CKPT*"), key=lambda path: path.stat().st_mtime)
    found = hashes(last)
    found.pop(Path("CKPT.yaml"))
    return found


def assert_same_run(one, other):
    assert epochs(one) == epochs(other)
    assert checkpoints(one) == checkpoints(other)
    found, expected = last_checkpoint(one), last_checkpoint(other)
    assert set(expected) >= {Path(f"{n}.ckpt") for n in ("masknet", "optimizer")}
    assert found == expected


def test_a_run_is_trained_and_scored(trained):
    folder, output = trained
    assert output.count("fp32, since fp16 is not possible on a CPU") == 1
    assert len(epochs(folder)) == 4
    assert "valid si_sdri" in epochs(folder)[0]
    scores = read(folder / "scores.csv")
    assert len({(row["id"], row["variant"]) for row in scores}) == 2 * 4 + 2 * 3
    assert {row["status"] for row in scores} == {"ok"}
    assert {row["corpus"] for row in scores} == {"Tiny"}
    assert {row["pesq"] for row in scores} == {""}
    summary = read(folder / "summary.csv")
    variants = ["SER", "SR", "ER", "R", "SE", "S", "E", "AVERAGE"]
    assert [row["variant"] for row in summary] == variants
    means = [float(row["si_sdr"]) for row in summary]
    assert sum(means[:-1]) / 7 == pytest.approx(means[-1], abs=1e-3)
    for row in summary:
        gain = float(row["si_sdr"]) - float(row["si_sdr_mixture"])
        assert float(row["si_sdri"]) == pytest.approx(gain, abs=1e-3)
        # The file's four digits may round the other way to the table's two.
        near = {f"{float(row['si_sdr']) + d:.2f}" for d in (-1e-4, 1e-4)}
        assert any(text in output for text in near)


def test_the_saved_configuration_loads_anywhere(trained):
    folder, _ = trained
    with open(folder / "hyperparams.yaml", encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, {"output_folder": str(folder / "elsewhere")})
    assert hparams["num_filters"] == 16
    assert str(hparams["checkpointer"].checkpoints_dir).startswith(
        str(folder / "elsewhere")
    )
    assert hparams["lr_scheduler"].factor == 0.5
    (folder / "elsewhere" / "save").rmdir()
    (folder / "elsewhere").rmdir()


@pytest.mark.parametrize(
    ("kill_after", "num_workers"), [(2, 0), (7, 2), (9, 0), (11, 0)]
)
def test_a_killed_run_resumes_where_it_was(
    corpus, trained, tmp_path, kill_after, num_workers
):
    folder = tmp_path / "killed"
    options = {**WILD, "num_workers": num_workers}
    train(corpus, folder, kill_after=kill_after, expect=-9, **options)
    finished = (kill_after - 1) // 3  # an epoch saves three times within
    assert (folder / "train_log.txt").exists() == (finished > 0)
    output = train(corpus, folder, **options)
    assert "Loading a checkpoint" in output
    assert_same_run(folder, trained[0])
    assert read(folder / "scores.csv") == read(trained[0] / "scores.csv")


def test_a_run_goes_on_to_more_epochs(corpus, trained, tmp_path):
    folder = tmp_path / "longer"
    train(corpus, folder, **WILD | {"number_of_epochs": 2})
    train(corpus, folder, **WILD)
    assert_same_run(folder, trained[0])
    before = hashes(folder / "save")
    train(corpus, folder, **WILD)
    assert len(epochs(folder)) == 4, "a finished run trains no more"
    assert hashes(folder / "save") == before


def test_another_configuration_is_no_resume(corpus, trained):
    before = hashes(trained[0])
    options = {**WILD, "lr": 0.1, "hidden_channels": 32, "task": "EB"}
    output = train(corpus, trained[0], expect=1, **options)
    for key, values in {"lr": (0.5, 0.1), "hidden_channels": (16, 32)}.items():
        run = f"{key}: the run in {trained[0]} has {values[0]}, found {values[1]}"
        assert run in output
    assert "task: the run in" in output and "Traceback" not in output
    assert hashes(trained[0]) == before


def test_debugging_leaves_the_run_alone(corpus, trained, tmp_path):
    before = hashes(trained[0])
    output = train(corpus, trained[0], debug=True, cwd=tmp_path, **WILD)
    assert "debug mode" in output
    assert hashes(trained[0]) == before
    assert (tmp_path / "results" / "debug" / "scores.csv").exists()


def test_validating_on_the_test_split_needs_no_other(tmp_path):
    corpus = make_corpus(tmp_path / "Tiny", {"train": 4, "test": 2})
    options = {"valid_split": "test", "number_of_epochs": 1}
    output = train(corpus, tmp_path / "run", **options)
    assert "Validating on the test split" in output


def test_accumulation_survives_a_kill(corpus, tmp_path):
    options = {"ckpt_interval_steps": 1, "grad_accumulation_factor": 4}
    train(corpus, tmp_path / "whole", **options)
    train(corpus, tmp_path / "killed", kill_after=2, expect=-9, **options)
    train(corpus, tmp_path / "killed", **options)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize(("task", "yaml"), [("EB", "eb.yaml"), ("SB", "sb.yaml")])
def test_the_other_tasks(corpus, tmp_path, task, yaml):
    train(corpus, tmp_path, yaml, number_of_epochs=1, test_variants="SER,C,E")
    scores = read(tmp_path / "scores.csv")
    status = "mixture is the target" if task == "EB" else "ok"
    for row in scores:
        assert row["status"] == ("ok" if row["variant"] != "C" else status)
    summary = {row["variant"]: row for row in read(tmp_path / "summary.csv")}
    assert summary["C"]["num_utterances"] == "4"
    assert (summary["C"]["si_sdri"] == "") == (task == "EB")
    averaged = 4 if task == "EB" else 8
    assert summary["AVERAGE"]["num_utterances"] == str(averaged)


def test_evaluation_alone_changes_nothing_else(corpus, trained, tmp_path):
    folder, _ = trained
    before, scores = hashes(folder), read(folder / "scores.csv")
    other = make_corpus(tmp_path / "Other", {"test": 3}, seed=1)
    evaluate(other, folder, scores_folder=tmp_path / "scores", test_variants="[R, S]")
    assert hashes(folder) == before
    found = read(tmp_path / "scores" / "scores.csv")
    assert {row["variant"] for row in found} == {"R", "S"}
    assert {row["corpus"] for row in found} == {"Other"}

    evaluate(corpus, folder)
    again = read(folder / "scores.csv")
    assert [row["si_sdr"] for row in again] == [row["si_sdr"] for row in scores]
    after = hashes(folder)
    for path, digest in before.items():
        if path.parts[0] in ("save", "manifests", "hyperparams.yaml", "train_log.txt"):
            assert after[path] == digest, path


def test_the_rate_falls_and_the_best_checkpoint_is_scored(trained):
    folder, output = trained
    log = epochs(folder)
    scores = [float(re.search(r"valid si_sdr: (\S+),", line)[1]) for line in log]
    rates = [float(re.search(r"lr: (\S+),", line)[1]) for line in log]
    for epoch in range(1, 4):
        gained = epoch == 1 or scores[epoch - 1] > max(scores[: epoch - 1])
        factor = 1 if gained else 0.5
        assert rates[epoch] == pytest.approx(rates[epoch - 1] * factor)
    best = max(range(4), key=scores.__getitem__) + 1
    assert best < 4 and rates[-1] < rates[0], "else this test shows nothing"
    assert checkpoints(folder) == [best, 4]
    assert f"'epoch': {best}.0" in output.split("Evaluating the checkpoint")[1]


def test_eps_comes_from_the_checkpoint(corpus, trained, tmp_path):
    train(corpus, tmp_path, eps=0.01, number_of_epochs=1)
    expected = read(tmp_path / "scores.csv")
    saved = tmp_path / "hyperparams.yaml"
    saved.write_text(saved.read_text().replace("eps: 0.01", "eps: null"))
    output = evaluate(corpus, tmp_path)
    assert "EPS of the norms: 0.01, as the checkpoint was trained" in output
    assert [r["si_sdr"] for r in read(tmp_path / "scores.csv")] == [
        r["si_sdr"] for r in expected
    ]


def test_a_run_without_checkpoint_is_not_scored(corpus, trained, tmp_path):
    (tmp_path / "hyperparams.yaml").write_bytes(
        (trained[0] / "hyperparams.yaml").read_bytes()
    )
    output = evaluate(corpus, tmp_path, expect=1)
    assert "No checkpoint with a score si_sdr" in output
    assert not (tmp_path / "scores.csv").exists()


def test_a_faulty_corpus_is_refused_or_mended(tmp_path):
    folder = make_corpus(tmp_path / "Faulty", {"train": 4, "val": 2, "test": 2})
    next((folder / "train" / "scene").iterdir()).unlink()
    output = train(folder, tmp_path / "run", expect=1)
    assert "scene" in output and "Traceback" not in output
    output = train(folder, tmp_path / "run", on_fault="drop", number_of_epochs=1)
    assert "train: 3 rows" in output


def test_early_stopping(corpus, tmp_path):
    options = {**WILD, "number_of_epochs": 9, "early_stopping_patience": 1}
    train(corpus, tmp_path, **options)
    assert len(epochs(tmp_path)) == 2
    train(corpus, tmp_path, **options)
    assert len(epochs(tmp_path)) == 2, "it has ended for good"


def test_stock_scores_the_same_checkpoint(corpus, trained, tmp_path):
    """SpeechBrain's MaskNet is one line of YAML away, with the same weights."""
    folder = tmp_path / "stock"
    shutil.copytree(trained[0], folder)
    yaml = folder / "hyperparams.yaml"
    ours, stock = "polsess.models.masknet", "speechbrain.lobes.models.conv_tasnet"
    text = yaml.read_text()
    assert text.count(f"!new:{ours}.MaskNet") == 1
    yaml.write_text(text.replace(f"!new:{ours}.MaskNet", f"!new:{stock}.MaskNet"))
    evaluate(corpus, folder, scores_folder=tmp_path / "scores")
    found, expected = read(tmp_path / "scores/scores.csv"), read(folder / "scores.csv")
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert float(row["si_sdr"]) == pytest.approx(float(other["si_sdr"]), abs=1e-3)


def test_a_causal_network_is_trained_and_scored(corpus, tmp_path):
    folder = tmp_path / "causal"
    train(corpus, folder, "causal.yaml")
    assert len(read(folder / "summary.csv")) == 8
    output = train(corpus, folder / "gln", causal=True, expect=1)
    assert "set norm_type to cLN" in output


@pytest.mark.slow  # and needs a C++ compiler
def test_compiled_training(corpus, trained, tmp_path):
    train(corpus, tmp_path, compile=True, **WILD | {"number_of_epochs": 1})
    score = re.compile(r"train si_sdr: (\S+)")
    found, expected = (
        float(score.search(epochs(folder)[0])[1]) for folder in (tmp_path, trained[0])
    )
    assert found == pytest.approx(expected, abs=0.02)
