"""Validated calculations, from documents as the genuine models and tables have them: flags, counts, listing."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from emmet.core.arrow import arrowize
from emmet.core.tasks import CoreTaskDoc
from outcome import Outcome, account, pulled, select
from pymatgen.io.vasp.inputs import Kpoints
from pymatgen.io.vasp.sets import MP24RelaxSet
from servers import Service
from world import World, _table, documents

from uprung.sources.materials_project.validation import NAME, validate

sys.path.append(str(Path(__file__).parents[1] / "unit/sources/materials_project"))
from complete_rows import potcar_spec

VALIDATED = {"validate": validate, "validator": NAME}
#: What every calculation of the simple world lacks: its trajectories have no entropies of electronic steps.
ALWAYS = "not checked: electronic entropy"


def serve(service: Service, world: World, complete: int) -> None:
    """Serve the documents of a world with what a validator needs in one of them: NaCl, by today's input set."""
    rows = documents(world)["tasks"]
    for row, calc in zip(rows, world.tasks(), strict=True):
        if calc.number == complete:
            own = MP24RelaxSet(calc.structure(0), bandgap=2.0)
            row["input"] |= {
                "incar": {k: v for k, v in own.incar.as_dict().items() if not k.startswith("@")},
                "kpoints": {**Kpoints.gamma_automatic((9, 9, 9)).as_dict(), "tet_number": 0, "tet_weight": 0.0},
                "potcar_spec": potcar_spec("r2SCAN"),
                "parameters": {"NELECT": 14.0, "NBANDS": 14},
            }
            row["output"] |= {"bandgap": 2.0, "outcar": {**row["output"]["outcar"], "drift": [[0.0, 0.0, 0.0]]}}
    service.write_table("tasks", _table(rows, pa.schema(arrowize(CoreTaskDoc))), mode="overwrite")


def flags(outcome: Outcome) -> dict[str, set[str]]:
    """Return task -> flags of its frames."""
    rows = outcome.frames.table.select(["frame_id", "flags"]).to_pylist()
    found: dict[str, set[str]] = {}
    for row in rows:
        task = row["frame_id"].rsplit("-", 2)[0]
        assert found.setdefault(task, set(row["flags"])) == set(row["flags"])
    return found


def test_findings_are_flags_and_counts_and_reject_nothing(service: Service, world: World, tmp_path: Path) -> None:
    world.task(3_000_001).moments = [9.0, 0.0]  # NaCl
    service.load(world)
    serve(service, world, complete=3_000_001)
    outcome = pulled(tmp_path, "r2SCAN", **VALIDATED)
    account(world, outcome)
    assert outcome.listed == []
    found = flags(outcome)
    assert len(outcome.frames) == 4 * len(found) == 32
    assert found["mp-3000001"] == {ALWAYS, "invalid: magnetism"}
    assert {ALWAYS, "not checked: k-points", "not checked: potentials", "invalid: ENCUT"} <= found["mp-3000011"]
    check_account(outcome, tmp_path / "frames/r2SCAN", found)


def check_account(outcome: Outcome, folder: Path, found: dict[str, set[str]]) -> None:
    """Hold the manifest and the listing against the flags of the frames."""
    facts: dict[str, Any] = outcome.manifest["validation"]
    assert facts["by"] == f"pymatgen-io-validation {version('pymatgen-io-validation')}"
    assert (facts["calculations"], facts["invalid"], facts["valid"], facts["partly checked"]) == (8, 8, 0, 0)
    for kind in ("invalid", "not checked"):
        for what, n in facts["findings"][kind].items():
            assert n == sum(f"{kind}: {what}" in own for own in found.values())
    listed = pq.read_table(folder / facts["listed"]["file"]).to_pylist()
    own = [row for row in listed if row["kind"] in ("invalid", "not checked")]
    assert {(row["task_id"], f"{row['kind']}: {row['what']}") for row in own} == {
        (task, flag) for task, all_flags in found.items() for flag in all_flags
    }


def test_a_pull_can_be_selected_with_and_without_validation(service: Service, world: World, tmp_path: Path) -> None:
    without = pulled(tmp_path)
    assert without.manifest["validation"] is None
    assert without.frames.table["flags"].null_count == len(without.frames) == 40
    one = select(tmp_path, "PBE", **VALIDATED)
    two = select(tmp_path, "PBE", processes=2, **VALIDATED)
    assert one.manifest == two.manifest
    assert one.frames.table.drop(["flags"]).equals(without.frames.table.drop(["flags"]))
    assert one.manifest["validation"]["calculations"] == 10
