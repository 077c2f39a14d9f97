from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import graph_sides
import graphs
import pytest
import record
from chgnet.graph import CrystalGraph
from graph_sides import Stock, StockFiles, Uprung, UprungStore
from graphs import main, same_work
from in_process import InProcess
from pymatgen.core import Lattice, Structure
from sets import SETS

N = 12


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return str(tmp_path_factory.mktemp("stock")), str(tmp_path_factory.mktemp("uprung"))


@pytest.fixture(scope="module", autouse=True)
def structures() -> Iterator[list[Structure]]:
    """Some solids and an isolated atom, as the set that the sides load."""
    solids = SETS["solids"]().structures[: N - 1]
    isolated = Structure(Lattice.cubic(9), ["Xe"], [[0, 0, 0]])
    graph_sides.structures_of.cache_clear()
    found = [*solids[:4], isolated, *solids[4:]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETS, "solids", lambda: type("Set", (), {"structures": found}))
        yield found
    graph_sides.structures_of.cache_clear()


def test_both_sides_build_the_same_edges_and_angles(folders: tuple[str, str]) -> None:
    stock = Stock("solids", None, 1, folders[0])
    answers = {
        "convert": [stock.convert()],
        "save": [stock.save(), stock.save()],
        "uprung": [Uprung("solids", None, 1, folders[1]).store()],
    }
    work = same_work("solids", answers)
    assert (work["structures"], work["rejected"]) == (N, 1)
    assert work["edges"] > 30 * N
    assert work["angles"] > 30 * N
    assert all(answer["seconds"] > 0 for several in answers.values() for answer in several)


def test_times_of_unequal_work_are_refused() -> None:
    answers = {"convert": [{"work": {"edges": 7}}] * 2, "uprung": [{"work": {"edges": 7}}, {"work": {"edges": 6}}]}
    with pytest.raises(ValueError, match=r"mlearn: convert built \{'edges': 7\}, but uprung built \{'edges': 6\}"):
        same_work("mlearn", answers)


def test_both_sides_read_every_graph(folders: tuple[str, str], structures: list[Structure]) -> None:
    Stock("solids", None, 1, folders[0]).save()
    Uprung("solids", None, 1, folders[1]).store()
    stock, store = StockFiles(folders[0]), UprungStore(folders[1])
    loaded = [CrystalGraph.from_dict(graph) for batch in stock.batches() for graph in batch]
    packs = list(store.batches())
    assert len(loaded) == sum(len(pack.n_atoms) for pack in packs) == len(store.at_hand()) == N - 1
    assert sum(len(g.undirected2directed) for g in loaded) == sum(len(pack.edge) for pack in packs)
    assert sum(len(g.bond_graph) for g in loaded) == sum(len(pack.angle_centre) for pack in packs)
    assert sum(len(g.atomic_number) for g in loaded) == sum(len(s) for s in structures) - 1
    for side in (stock, store):
        assert {"seconds", "private_mib"} == side.open().keys() == side.read().keys()


def test_workers_are_warm_and_stay(folders: tuple[str, str]) -> None:
    side = Uprung("solids", 4, 2, folders[1])
    assert len(set(side.workers)) == 2
    assert side.store()["work"]["structures"] == 4


@pytest.mark.parametrize("in_process", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_short_run_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, in_process: bool
) -> None:
    if in_process:
        monkeypatch.setattr(graphs, "Child", InProcess)
    path = tmp_path / "graphs.json"
    main(["--sets", "solids", "--repeats", "2", "--processes", "1", "--first", "5", "--output", str(path)])
    found = record.read(path)
    assert [case.what for case in found.cases] == [
        "convert, 1 process",
        "convert and save, 1 process",
        "read all once, in batches",
        "open, all graphs at hand",
    ]
    for case in found.cases:
        assert case.work["structures"] == 5
        assert case.work["edges"] > 0
        assert case.stock is not None
        assert len(case.stock.seconds) == 2
        assert case.ratio is not None
    assert found.settings["repeats"] == json.loads(path.read_text())["settings"]["repeats"] == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == record.aligned(record.rows(found)).splitlines()[0].split()
    assert printed[-1] == f"record: {path}"
