from __future__ import annotations

from uprung.report.sections.data import emptied_words, reason_words, validation_words, work_words

FOUND = {
    "by": "pymatgen-io-validation 0.1.4",
    "calculations": 1200,
    "valid": 150,
    "partly checked": 50,
    "invalid": 1000,
    "findings": {"invalid": {"ENCUT": 900, "LREAL": 100}, "not checked": {"k-points": 50}},
}


def test_a_validator_is_quoted_where_one_has_looked() -> None:
    other = {**FOUND, "by": "another", "calculations": 1, "valid": 1, "invalid": 0, "partly checked": 0, "findings": {}}
    readers = [{"format": "mptrj"}, {"validation": None}, {"validation": FOUND}, {"validation": other}]
    assert validation_words({"readers": readers}) == [
        "pymatgen-io-validation 0.1.4 calls 1,000 of 1,200 calculations invalid (ENCUT in 900, LREAL in 100) and 150 "
        "valid, and finds nothing wrong with 50 that could be checked in part",
        "another calls 0 of 1 calculation invalid and 1 valid, and finds nothing wrong with 0 that could be checked in "
        "part",
    ]
    assert validation_words({}) == validation_words({"readers": readers[:2]}) == []


def test_reasons_that_differ_in_numbers_alone_are_told_once() -> None:
    net = [f"net force {value} eV/Å in a component, above 0.02 eV/Å" for value in ("0.24", "0.0774", "1e-1")]
    words = reason_words([*net, "not converged", "energy is NaN", "energy is NaN"], "rejected")
    assert words == [
        f"3 structures rejected, for example: {net[0]}",
        "2 structures rejected: energy is NaN",
        "1 structure rejected: not converged",
    ]
    assert (
        reason_words([f"reason {letter}" for letter in "abcdefg"], "left out")[-1]
        == "2 further reasons in the manifest"
    )


def test_what_the_work_test_could_not_check_is_said() -> None:
    test = {
        "forces": {"verdict": "checked", "slope": 1.01, "error": 0.02, "like": ""},
        "stress": {"verdict": "unchecked", "why": "3 pairs"},
    }
    facts = {"labels": {"forces": 5, "stress_gpa": 5}, "readers": [{"file": "a.xyz", "work_test": test}]}
    assert work_words(facts) == [
        "a.xyz: forces checked (slope 1.01 ± 0.02, 1 is right)",
        "a.xyz: stress not checked: 3 pairs",
    ]
    assert len(work_words({**facts, "labels": {"forces": 5}})) == 1  # no stress, nothing to check


def test_labels_that_were_left_empty_are_counted() -> None:
    facts = {"emptied": [{"label": "magmom", "reason": "holds null", "frame_ids": ["a", "b"]}]}
    assert emptied_words(facts) == ["2 structures without moment: holds null"]
    assert emptied_words({}) == []
