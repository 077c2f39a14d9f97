"""Sentences follow the tables: each test gives tables that say something else and looks for other words."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from test_page import study

from uprung.report.format import amount, error, listing, pearson, times, two_digits
from uprung.report.sections import crossovers as crossings
from uprung.report.sections import law_limits, laws, limits, meaning, shift
from uprung.scaling import crossovers, data_multiplier, fit_curves, fit_laws

LABELS = {"scratch": "scratch", "keep": "kept references", "swap": "target references", "rest": "residual references"}
STUDY = study(
    arms={
        "scratch": {"init": "random", "references": "target"},
        "keep": {"references": "checkpoint"},
        "swap": {"references": "target"},
        "rest": {"references": "residual"},
    }
)
SIZES = (100, 200, 400, 800, 1600)


def curves(
    errors: dict[str, dict[int, list[float]]], *, unconverged: set[tuple[str, int]] = frozenset()
) -> pd.DataFrame:
    """Return energy curves, arm -> size -> errors of the seeds in eV/atom; the baseline is 0.5 eV/atom."""
    rows = []
    for arm, sizes in errors.items():
        for size, values in sizes.items():
            for seed, mae in enumerate(values):
                good = (arm, size) not in unconverged
                rows.append(
                    {
                        "budget": "b",
                        "arm": arm,
                        "size": str(size),
                        "n_frames": size,
                        "n_materials": 10,
                        "seed": seed,
                        "fidelity": "r2scan",
                        "target": "energy",
                        "population": "covered",
                        "n_test": 50,
                        "mae": mae,
                        "baseline": 0.5,
                        "converged": good,
                        "reason": "" if good else "still falling",
                    }
                )
    return pd.DataFrame(rows)


def power(prefactor: float, exponent: float, seeds: int = 2) -> dict[int, list[float]]:
    return {n: [prefactor * n**-exponent * (1 + 0.01 * s) for s in range(seeds)] for n in SIZES}


def text_of(sentences: list[str]) -> str:
    return " ".join(sentences)


def test_lowest_error_names_the_arm_the_factor_and_the_seeds() -> None:
    table = curves({"scratch": {100: [0.40, 0.42], 1600: [0.03, 0.05]}, "swap": {100: [0.2, 0.21], 1600: [0.08, 0.09]}})
    first, last = meaning.lowest_errors(table, LABELS, target="energy")
    assert "smallest size (n = 100) the lowest energy error is that of target references, 205 meV/atom" in first
    assert "2.0 times as much (in each of 2 seeds; not settled)" in first
    assert "largest size (n = 1,600) the lowest energy error is that of scratch" in last


def test_lowest_error_is_hedged_where_seeds_disagree_or_are_few() -> None:
    table = curves({"scratch": {100: [0.20, 0.22]}, "swap": {100: [0.21, 0.20]}})
    (only,) = meaning.lowest_errors(table, LABELS, target="energy")
    assert "not in each of 2 seeds, so the order is uncertain" in only
    table = curves({"scratch": {100: [0.2]}, "swap": {100: [0.3]}}, unconverged={("scratch", 100)})
    (only,) = meaning.lowest_errors(table, LABELS, target="energy")
    assert "one seed, spread unknown; not settled" in only
    assert "(in no law)" in only


def test_lowest_error_above_the_baseline_is_no_success() -> None:
    table = curves({"scratch": {100: [0.7]}, "swap": {100: [0.6]}})
    (only,) = meaning.lowest_errors(table, LABELS, target="energy")
    assert only.startswith("At n = 100 no arm has a lower energy error than the geometry")
    assert "target references with 600 meV/atom" in only


def test_reference_effect_says_lower_higher_or_nothing() -> None:
    better = {
        "keep": {100: [10.0, 11.0], 1600: [1.0, 1.1]},
        "swap": {100: [1.0, 1.1], 1600: [0.1, 0.11]},
        "rest": {100: [0.2, 0.21], 1600: [0.2, 0.21]},
    }
    sentences = meaning.reference_effect(curves(better), STUDY, target="energy")
    assert len(sentences) == 3
    assert (
        "1,050 meV/atom instead of 10,500 meV/atom at n = 100 (10 times lower, in each of 2 seeds; not settled)"
        in sentences[0]
    )
    last = sentences[-1]
    assert "in place of references fitted to the target energies" in last
    assert "5.1 times lower" in last
    assert "2.0 times higher" in last
    same = curves({"keep": {100: [0.200]}, "swap": {100: [0.201]}})
    assert "within 5 %" in text_of(meaning.reference_effect(same, STUDY, target="energy"))
    alone = curves({"scratch": {100: [0.2]}, "swap": {100: [0.3]}})
    assert "cannot be isolated" in text_of(meaning.reference_effect(alone, STUDY, target="energy"))


def test_overtaking_follows_the_means_and_marks_extrapolations() -> None:
    table = curves({"scratch": power(50, 0.9), "swap": power(2, 0.4), "keep": power(500, 0.5)})
    words = text_of(
        crossings.overtaking(crossovers(table, fit_curves(table), scratch="scratch"), LABELS, target="energy")
    )
    assert words.startswith("Energy: scratch overtakes")
    assert "scratch overtakes target references between n = 400 and 800 (in every seed)" in words
    assert "the error of scratch is below that of kept references at every size" in words
    assert re.search(r"laws of scratch and target references cross at n = 6\d\d", words)
    # they meet at 2,500 structures, and at 80,000, which is out of reach
    never = curves({"scratch": power(9.56, 0.6), "swap": power(2, 0.4), "rest": power(1, 0.4)})
    words = text_of(
        crossings.overtaking(crossovers(never, fit_curves(never), scratch="scratch"), LABELS, target="energy")
    )
    assert "the error of scratch is above that of target references and residual references at every size" in words
    assert words.count("an extrapolation by") == 1
    assert "overtakes" not in words
    table = crossings.crossover_table(crossovers(never, fit_curves(never), scratch="scratch"), LABELS)
    assert table is not None
    assert any("refused: the laws as fitted meet at" in str(row[-1]) for row in table.rows)
    assert "No arm starts from random weights" in text_of(
        crossings.overtaking(crossovers(never, fit_curves(never), scratch=None), LABELS, target="energy")
    )


def test_multiplier_is_a_number_a_bound_or_refused() -> None:
    table = curves({"scratch": power(50, 0.9), "swap": power(2, 0.4), "rest": power(1e-3, 0.1), "keep": power(9, 0.1)})
    bad = {("keep", n) for n in SIZES}
    table["converged"] = [(a, int(s)) not in bad for a, s in zip(table["arm"], table["size"], strict=True)]
    found = data_multiplier(table, scratch="scratch")
    words = text_of(crossings.multipliers(found, LABELS, target="energy"))
    assert "For the energy error of target references at n = 100, scratch needs 2.8 times as many labels" in words
    assert "scratch needs more than 16 times as many labels" in words
    assert "For kept references no data multiplier in energy can be given" in words


def test_laws_single_out_an_arm_only_beyond_the_intervals() -> None:
    clear = fit_laws(curves({"scratch": power(50, 0.9), "swap": power(2, 0.4)}))
    assert "scratch falls fastest" in text_of(laws.fitted_laws(clear, LABELS, target="energy"))
    wobble = {
        n: [power(2, 0.4)[n][0] * f, power(2, 0.4)[n][0]] for n, f in zip(SIZES, (1, 1.4, 0.8, 1.3, 0.9), strict=True)
    }
    vague = fit_laws(curves({"scratch": power(2, 0.45), "swap": wobble}))
    assert "do not single out" in text_of(laws.fitted_laws(vague, LABELS, target="energy"))
    refused = fit_laws(curves({"scratch": power(2, 0.4)}, unconverged={("scratch", n) for n in SIZES[:3]}))
    words = text_of(laws.fitted_laws(refused, LABELS, target="energy"))
    assert words == "No energy law is fitted to scratch: see the reasons in the table of laws."


def test_converged_points_are_counted() -> None:
    table = curves({"scratch": power(2, 0.4)}, unconverged={("scratch", 100)})
    assert meaning.converged_points(table, target="energy").startswith("8 of 10 runs")
    assert meaning.converged_points(table[table["converged"]], target="energy").startswith("All 8 runs")


def correlation(
    raw: tuple[float, float, float], referenced: tuple[float, float, float], mae: tuple[float, float]
) -> pd.DataFrame:
    rows = []
    for quantity, r, error_ in (("energy raw", raw, mae[0]), ("energy referenced", referenced, mae[1])):
        rows.append(
            {"quantity": quantity, "subset": "|F_low| < 10 eV/Å", "pearson": r[0], "pearson_low": r[1]}
            | {"pearson_high": r[2], "mae": error_, "n_structures": 70, "n_values": 70}
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("raw", "referenced", "mae", "expected"),
    [
        ((0.24, 0.02, 0.44), (0.976, 0.957, 0.986), (15.5, 0.0956), "rises beyond both intervals"),
        ((0.99, 0.98, 0.995), (0.5, 0.4, 0.6), (0.1, 0.2), "falls beyond both intervals"),
        ((0.90, 0.80, 0.97), (0.92, 0.85, 0.98), (0.2, 0.1), "overlap or are unknown"),
        ((0.9, 0.8, 0.97), (float("nan"),) * 3, (0.2, 0.0), "correlation is undefined"),
    ],
)
def test_referencing_has_four_outcomes(
    raw: tuple[float, float, float], referenced: tuple[float, float, float], mae: tuple[float, float], expected: str
) -> None:
    words = text_of(shift.label_agreement(correlation(raw, referenced, mae), low="PBE", high="r²SCAN"))
    assert expected in words
    assert "70 structures whose PBE forces are all below 10 eV/Å" in words
    assert ("remove 99.4 %" in words) == (mae[1] == 0.0956)
    assert ("remove nothing" in words) == (mae[1] == 0.2)


def test_shift_words_depend_on_the_relation_to_the_atomic_number() -> None:
    table = pd.DataFrame({"Z": range(1, 7), "element": list("ABCDEF"), "determined": True})
    steady = shift.shift_by_element(table.assign(shift=[0, -1, -2, -3, -4, -5.0]), low="PBE", high="r²SCAN")
    assert "from −5.00 eV/atom (F) to 0.00 eV/atom (A) over 6 elements" in steady[0]
    assert "nearly monotonic" in steady[1]
    loose = shift.shift_by_element(table.assign(shift=[1, -1, 1, -1, 1, -1.0]), low="PBE", high="r²SCAN")
    assert "not simply related" in loose[1]


def test_limits_come_and_go_with_their_cause() -> None:
    assert "one seed" in limits.seed_limits(1)[0]
    assert "with probability 1/2" in limits.seed_limits(2)[0]
    assert limits.seed_limits(5) == []
    assert "interpolates" in limits.split_limits("frame", 200)[0]
    assert not any("interpolates" in limit for limit in limits.split_limits("chemical_system", 200))
    fit = {"target": {"labels": "target", "scope": "train"}}
    whole = study(references=fit, arms={"a": {"init": "random", "references": "target", "label": "whole"}})
    assert "whole uses reference energies fitted to the whole training split" in limits.reference_limits(whole)[0]
    assert limits.reference_limits(STUDY) == []
    assert limits.target_limits(["energy", "force"], {"energy": 5, "forces": 5, "magmom": 5}) == [
        "No labels of stress: nothing is trained on or tested for it.",
        "Labels of magnetic moment exist, but the study does not train on them.",
    ]
    good = fit_laws(curves({"scratch": power(2, 0.4)}))
    none = crossovers(curves({"scratch": power(2, 0.4)}), [], scratch=None)
    assert not any("refused" in limit for limit in law_limits.law_limits(good, none))
    bad = fit_laws(curves({"scratch": power(2, 0.4)}, unconverged={("scratch", n) for n in SIZES}))
    assert law_limits.law_limits(bad, none)[0].startswith("No curve has a scaling law")
    one = curves({"scratch": power(2, 0.4), "swap": power(2, 0.4)}, unconverged={("swap", n) for n in SIZES})
    assert "1 of 2 scaling laws" in law_limits.law_limits(fit_laws(one), none)[0]
    split = {
        "counts": [{"fidelity": "h", "split": s, "frames": n} for s, n in (("train", 8), ("excluded", 2))],
        "excluded": [{"fidelity": "h", "frame_id": i, "reason": "force above 10 eV/Å"} for i in "ab"],
    }
    assert limits.exclusion_limits(split, "h")[0].startswith("2 of 10 frames take part neither")
    assert limits.exclusion_limits(split, "other") == []


def test_numbers_are_rounded_to_what_they_carry() -> None:
    assert [amount(v) for v in (13664.2, 99.96, 32.14, 0.3214, 0.0, -5.5)] == [
        "13,664",
        "100",
        "32.1",
        "0.321",
        "0",
        "−5.50",
    ]
    assert error(0.189, "energy") == "189 meV/atom"
    assert error(float("nan"), "force") == "–"
    assert [pearson(v) for v in (0.2447, 0.99984, float("nan"))] == ["0.245", "0.9998", "–"]
    assert [times(v) for v in (1.04, 13.4, 1234)] == ["1.0 times", "13 times", "1,200 times"]
    assert [two_digits(v) for v in (719996, 3.2e8, float("inf"), 0.0)] == ["720,000", "3e8", "any larger size", "0"]
    assert listing(["a", "b", "c"]) == "a, b and c"
