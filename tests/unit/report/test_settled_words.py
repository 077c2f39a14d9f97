"""What the page says of training that lasts longer, of n = 0, and of what needs no network."""

from __future__ import annotations

import pandas as pd
from test_findings import LABELS, curves

from uprung import scaling
from uprung.report.sections import crossovers, meaning, settled
from uprung.scaling.settled import NOT_SETTLED, SETTLED

TWO = {"scratch": {100: [0.40], 1600: [0.03]}, "swap": {100: [0.20], 1600: [0.08]}}


def test_n_0_is_named_first_and_arms_that_do_not_beat_it() -> None:
    table = curves(TWO)
    table["untouched"] = [0.1 if arm == "swap" else 0.3 for arm in table["arm"]]
    start, small, large = settled.before_training(table, LABELS, target="energy")
    assert start.endswith("is 100 meV/atom, that of target references.")
    assert "smallest size training does not get below target references before training (100 meV/atom)" in small
    assert "scratch (4.0 times) and target references (2.0 times)" in small
    assert large == "At the largest size every arm is below target references before training (100 meV/atom)."
    assert settled.before_training(curves(TWO), LABELS, target="energy") == []


def test_orders_are_stated_for_settled_points_only() -> None:
    table = curves(TWO).assign(settled=SETTLED)
    assert not any("not settled" in text for text in meaning.lowest_errors(table, LABELS, target="energy"))
    table.loc[(table["arm"] == "scratch") & (table["size"] == "1600"), "settled"] = NOT_SETTLED
    first, last = meaning.lowest_errors(table, LABELS, target="energy")
    assert "not settled" not in first
    assert "not settled" in last
    assert settled.settled_words(table, target="energy").startswith("3 of 4 points are settled in energy.")
    assert "All 4 points" in settled.settled_words(table.assign(settled=SETTLED), target="energy")
    assert settled.settled_words(curves(TWO), target="energy").startswith(
        "No point is settled in energy: without a second"
    )


def test_what_needs_no_network_is_set_against_the_arms() -> None:
    columns = {"target": "energy", "population": "covered", "size": "1600"}
    better = pd.DataFrame([{**columns, "yardstick": "difference", "mae": 0.01}])
    (text,) = settled.without_network(curves(TWO), better, LABELS, target="energy")
    assert "reaches 10.0 meV/atom at the largest size, below every arm" in text
    (text,) = settled.without_network(curves(TWO), better.assign(mae=0.05), LABELS, target="energy")
    assert text.endswith("below target references.")
    assert settled.without_network(curves(TWO), better.iloc[:0], LABELS, target="energy") == []


def test_blown_up_runs_are_counted_and_named() -> None:
    table = curves(TWO).assign(tail=[0.1, 0.2, 0.93, 0.3])
    (text,) = settled.blow_ups(table, LABELS, target="energy")
    assert text.startswith("1 run of 4 owes more than half of the energy error")
    assert "target references n = 100 seed 0 (93 %)" in text
    assert settled.blow_ups(curves(TWO), LABELS, target="energy") == []


def test_the_other_checkpoint_is_shown_where_it_differs() -> None:
    one = curves({"swap": {100: [0.2]}})
    assert settled.marks(one.assign(mae_other=0.21), "energy") == []
    assert settled.marks(one.assign(mae_other=0.1, settled=SETTLED), "energy") == ["●", "⇄ 100"]


def test_rows_of_n_0_and_yardsticks_follow_the_sizes() -> None:
    table = curves(TWO)
    table["untouched"] = [0.1 if arm == "swap" else None for arm in table["arm"]]
    yard = pd.DataFrame(
        {"yardstick": "shift", "target": "energy", "population": "covered", "size": ["100", "1600"], "mae": [0.3, 0.2]}
    )
    assert settled.measure_rows(table, yard, LABELS, "energy") == [
        ["before training (n = 0): all that are pretrained", "100", "100"],
        ["no network: low-fidelity label, energy shifted", "300", "200"],
    ]


def test_sentences_about_arms_are_marked_where_one_of_them_is_not_settled() -> None:
    table = curves(TWO).assign(settled=SETTLED)
    said = ["Energy: scratch overtakes target references.", "No arm starts from random weights."]
    assert settled.hedged(said, table, LABELS) == said
    table.loc[table["arm"] == "swap", "settled"] = NOT_SETTLED
    assert settled.hedged(said, table, LABELS) == ["Energy: scratch overtakes target references; not settled.", said[1]]
    assert settled.hedged(["scratch is alone."], table, LABELS) == ["scratch is alone."]


def test_a_single_size_has_neither_a_smallest_nor_a_largest() -> None:
    table = curves({"scratch": {400: [0.3]}, "swap": {400: [0.2]}, "rest": {400: [0.08]}})
    table["untouched"] = [0.3, 0.1, 0.1]
    start, only = settled.before_training(table, LABELS, target="energy")
    assert start == "Before any training the lowest energy error is 100 meV/atom, that of target references."
    assert only.startswith(
        "At n = 400 training does not get below target references before training (100 meV/atom) in "
    )
    assert only.endswith("scratch (3.0 times) and target references (2.0 times).")
    measured = {"target": "energy", "population": "covered", "size": "400", "yardstick": "difference", "mae": 0.01}
    alike = table.assign(untouched=[None, 0.1, 0.1])
    start, only = settled.before_training(alike, LABELS, target="energy")
    assert start.endswith("100 meV/atom, that of the pretrained network.")
    assert "below the pretrained network before training (100 meV/atom) in" in only
    (text,) = settled.without_network(table, pd.DataFrame([measured]), LABELS, target="energy")
    assert "10.0 meV/atom at n = 400, below every arm" in text
    (order,) = crossovers.overtaking(scaling.crossovers(table, [], scratch="scratch").head(1), LABELS, target="energy")
    assert "above that of target references at the only size" in order
    assert "have converged" in meaning.converged_points(table, target="energy")
