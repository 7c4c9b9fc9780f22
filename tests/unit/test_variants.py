"""Every task and variant against stems that are constants, by both renderings."""

import numpy as np
import pytest

from polsess.variants import (
    TASKS,
    VARIANTS,
    all_stems,
    compatible_variants,
    render,
    rendering,
)

# Powers of two: a sum tells exactly which stems are in it.
STEMS = {
    "sp1": 1,
    "sp2": 2,
    "scene": 4,
    "event": 8,
    "sp1_reverb": 16,
    "sp2_reverb": 32,
    "ev_reverb": 64,
}
ES_INDOOR = {"SER": 1 + 4 + 8 + 16 + 64, "SR": 1 + 4 + 16, "ER": 1 + 8 + 16 + 64}
ES_INDOOR |= {"R": 1 + 16, "C": 1}
BOTH_INDOOR = {v: mixture + 2 + 32 for v, mixture in ES_INDOOR.items()} | {"C": 1 + 2}
ES_OUTDOOR = {"SE": 1 + 4 + 8, "S": 1 + 4, "E": 1 + 8, "C": 1}
BOTH_OUTDOOR = {v: mixture + 2 for v, mixture in ES_OUTDOOR.items()}
MIXTURES = {
    ("ES", True): ES_INDOOR,
    ("EB", True): BOTH_INDOOR,
    ("SB", True): BOTH_INDOOR,
    ("ES", False): ES_OUTDOOR,
    ("EB", False): BOTH_OUTDOOR,
    ("SB", False): BOTH_OUTDOOR,
}
TARGETS = {"ES": [1], "EB": [1 + 2], "SB": [1, 2]}
CASES = [
    (task, indoor, variant, mixture)
    for (task, indoor), mixtures in MIXTURES.items()
    for variant, mixture in mixtures.items()
]


def rendered(task, variant, indoor, sum_holds, mix_offset=0):
    """Mixture and target of one sample, and the stems that were read."""
    stems = {stem: STEMS[stem] for stem in all_stems(indoor)}
    stems["mix"] = sum(stems.values()) + mix_offset
    reads = []

    def read(stem):
        reads.append(stem)
        return np.full(1, stems[stem])

    mixture, target = render(read, task, variant, indoor, sum_holds)
    return mixture.item(), target.tolist()[0], reads


def test_the_tables_are_complete():
    for (_, indoor), mixtures in MIXTURES.items():
        assert set(mixtures) == set(compatible_variants(indoor, VARIANTS))
    assert {task for task, _ in MIXTURES} == set(TASKS)


@pytest.mark.parametrize("sum_holds", [True, False])
@pytest.mark.parametrize(("task", "indoor", "variant", "mixture"), CASES)
def test_render(task, indoor, variant, mixture, sum_holds):
    heard, wanted, reads = rendered(task, variant, indoor, sum_holds)
    assert heard == mixture
    assert wanted == TARGETS[task]
    assert len(reads) == len(set(reads)), "a stem was read twice"


@pytest.mark.parametrize(("task", "indoor", "variant", "mixture"), CASES)
def test_a_mixture_that_is_not_the_sum_is_rendered_by_subtraction(
    task, indoor, variant, mixture
):
    heard, _, reads = rendered(task, variant, indoor, sum_holds=False, mix_offset=1000)
    assert heard == mixture + 1000
    assert "mix" in reads


@pytest.mark.parametrize(
    ("indoor", "mean_reads"), [(True, (4 + 3 + 4 + 2) / 4), (False, (3 + 2 + 2) / 3)]
)
def test_es_reads_as_few_files_as_possible(indoor, mean_reads):
    counts = [
        len(rendered("ES", variant, indoor, sum_holds=True)[2])
        for variant in compatible_variants(indoor)
    ]
    assert np.mean(counts) == mean_reads


def test_only_what_the_variant_needs_is_read():
    assert set(rendered("ES", "R", True, True)[2]) == {"sp1", "sp1_reverb"}
    assert set(rendered("SB", "C", True, True)[2]) == {"sp1", "sp2"}
    assert set(rendered("EB", "SER", True, True)[2]) == {"mix", "sp1", "sp2"}
    assert set(rendered("ES", "E", False, False)[2]) == {"mix", "sp1", "sp2", "scene"}


@pytest.mark.parametrize(("task", "indoor", "variant", "mixture"), CASES)
def test_no_rendering_reads_fewer(task, indoor, variant, mixture):
    target = {stem for source in TASKS[task] for stem in source}
    chosen, subtracted = (
        len(target | set(rendering(task, variant, indoor, sum_holds)))
        for sum_holds in (True, False)
    )
    summed = len(target | {s for s in STEMS if STEMS[s] & mixture})
    assert chosen == min(summed, subtracted)


@pytest.mark.parametrize(("variant", "indoor"), [("SE", True), ("SER", False)])
def test_a_variant_of_the_other_place_is_refused(variant, indoor):
    with pytest.raises(ValueError, match=f"'{variant}' does not exist"):
        rendering("ES", variant, indoor, True)
