from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.calculators.emt import EMT
from engines import Counting, NotConvergedError, engine, rattled, structures

from uprung.dft.labels import Scheme, State, compute, key_of, labelled, write_labels

PBE = Scheme("PBE")


def run(folder: Path, calculator: Counting, count: int = 4, *, scheme: Scheme = PBE, writer: str = "chunk0") -> list:
    return list(labelled(structures(count), scheme, engine(calculator), State(folder, writer)))


# ------------------------------------------------------------------------------------------------------ one label


def test_a_record_holds_what_the_calculator_says_in_its_units() -> None:
    (structure,) = structures(1, (4, 3, 2))
    calculator = Counting()
    record = compute(structure, replace(PBE, functional="r2SCAN"), engine(calculator))
    atoms = rattled("Cu", 0)
    atoms.calc = EMT()
    assert record["energy"] == atoms.get_potential_energy()
    assert record["free_energy"] == atoms.get_potential_energy(force_consistent=True)
    np.testing.assert_allclose(record["forces"], atoms.get_forces(), atol=1e-6)
    np.testing.assert_allclose(record["stress"], atoms.get_stress(voigt=False), atol=1e-8)
    assert ase.Atoms(record["numbers"], record["positions"], cell=record["cell"], pbc=True) == rattled("Cu", 0)
    assert (record["id"], record["material"], record["xc"], record["kpts"]) == ("Cu-0", "Cu", "r2SCAN", [4, 3, 2])
    assert calculator.made == [(replace(PBE, functional="r2SCAN"), (4, 3, 2))]
    assert json.loads(json.dumps(record)) == record


def test_a_record_states_its_settings() -> None:
    record = compute(structures(1)[0], PBE, engine(Counting(), "2.5"))
    assert record["settings"] == {
        "code": "EMT 2.5",
        "setups": "none",
        "libxc": "none",
        "cutoff": 450.0,
        "k_density": 1.5,
        "smearing": 0.1,
        "convergence": 1e-5,
        "max_steps": 80,
    }


def test_a_structure_without_label_says_why_and_keeps_its_geometry() -> None:
    record = compute(structures(1)[0], PBE, engine(Counting({1: NotConvergedError()})))
    assert record["unusable"] == "not converged"
    assert not {"energy", "free_energy", "forces", "stress"} & record.keys()
    assert len(record["positions"]) == 4


# ------------------------------------------------------------------------------------------------------- the keys


def test_everything_that_decides_a_label_is_in_its_key() -> None:
    (structure,) = structures(1)
    own = engine(Counting())
    moved = structure.atoms.copy()
    moved.positions[0, 0] += 1e-9
    keys = [
        key_of(structure, PBE, own),
        key_of(structure, PBE, engine(Counting(), "1.1")),
        key_of(replace(structure, kpts=(3, 2, 2)), PBE, own),
        key_of(replace(structure, atoms=moved), PBE, own),
        key_of(replace(structure, atoms=rattled("Ag", 0)), PBE, own),
        *(key_of(structure, replace(PBE, **change), own) for change in CHANGES),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(replace(structure, name="other", material="other"), PBE, own) == keys[0]


CHANGES = [
    {"functional": "r2SCAN"},
    {"cutoff": 500.0},
    {"k_density": 2.0},
    {"smearing": 0.05},
    {"convergence": 1e-6},
    {"max_steps": 100},
    {"density_floor": 1e-5},
]


def test_the_changes_above_are_all_fields_of_a_scheme() -> None:
    assert [next(iter(change)) for change in CHANGES] == list(Scheme.__slots__)


# ------------------------------------------------------------------------------------------------------- resuming


def test_what_exists_is_not_computed_again(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    assert run(tmp_path, first) == run(tmp_path, second)
    assert (len(first.made), len(second.made)) == (4, 0)


def test_a_failed_job_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="structure 'Cu-2', PBE: OSError: disk full; labels before it are kept"):
        run(tmp_path, Counting({3: OSError("disk full")}))
    again = Counting()
    assert [record["id"] for record in run(tmp_path, again)] == [f"Cu-{n}" for n in range(4)]
    assert len(again.made) == 2


def test_a_structure_that_did_not_converge_is_not_tried_again(tmp_path: Path) -> None:
    first, second = Counting({2: NotConvergedError()}), Counting()
    before = run(tmp_path, first)
    assert ["unusable" in record for record in before] == [False, True, False, False]
    assert run(tmp_path, second) == before
    assert second.made == []


def test_more_steps_try_again(tmp_path: Path) -> None:
    run(tmp_path, Counting({2: NotConvergedError()}))
    again = Counting()
    assert not any("unusable" in record for record in run(tmp_path, again, scheme=replace(PBE, max_steps=200)))


def test_a_line_that_was_cut_off_is_computed_again(tmp_path: Path) -> None:
    whole = run(tmp_path, Counting())
    file = tmp_path / "chunk0.jsonl"
    file.write_bytes(file.read_bytes()[:-25])
    again = Counting()
    assert [{**r, "seconds": 0} for r in run(tmp_path, again)] == [{**r, "seconds": 0} for r in whole]
    assert len(again.made) == 1
    last = Counting()
    run(tmp_path, last)
    assert last.made == []  # the new label stands on a line of its own


def test_labels_of_another_chunk_are_found(tmp_path: Path) -> None:
    """Another chunk size moves structures to other jobs; their labels stay."""
    run(tmp_path, Counting(), writer="chunk0")
    other = Counting()
    run(tmp_path, other, count=6, writer="chunk1")
    assert len(other.made) == 2


def test_a_renamed_structure_keeps_its_label(tmp_path: Path) -> None:
    run(tmp_path, Counting(), count=1)
    renamed = [replace(structures(1)[0], name="mine", material="copper", trajectory="hot")]
    (record,) = labelled(renamed, PBE, engine(Counting()), State(tmp_path, "chunk0"))
    assert (record["id"], record["material"], record["trajectory"]) == ("mine", "copper", "hot")


def test_other_settings_are_computed_anew_beside_the_old(tmp_path: Path) -> None:
    run(tmp_path, Counting())
    finer, back = Counting(), Counting()
    run(tmp_path, finer, scheme=replace(PBE, cutoff=600.0))
    run(tmp_path, back)
    assert (len(finer.made), len(back.made)) == (4, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_process_loses_no_finished_label(tmp_path: Path) -> None:
    """The process is killed inside its third calculation."""
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
from engines import Counting, engine, structures
from uprung.dft.labels import Scheme, State, labelled
class Killed(Counting):
    def __call__(self, scheme, kpts):
        if len(self.made) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(scheme, kpts)
list(labelled(structures(4), Scheme("PBE"), engine(Killed()), State(Path({str(tmp_path)!r}), "chunk0")))
"""
    done = subprocess.run([sys.executable, "-c", script], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    again = Counting()
    assert len(run(tmp_path, again)) == 4
    assert len(again.made) == 2


# --------------------------------------------------------------------------------------------------------- output


def test_the_output_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out" / "chunk0.jsonl"
    with pytest.raises(RuntimeError, match="Cu-1"):
        write_labels(
            labelled(structures(3), PBE, engine(Counting({2: OSError("x")})), State(tmp_path / "state", "a")), target
        )
    assert not target.exists()
    assert write_labels(labelled(structures(3), PBE, engine(Counting()), State(tmp_path / "state", "a")), target) == 3
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == ["Cu-0", "Cu-1", "Cu-2"]
    assert [file.name for file in target.parent.iterdir()] == ["chunk0.jsonl"]
