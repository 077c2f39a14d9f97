"""What the unmodified client does against the test service: why the pull does not rely on its paging and filters."""

from __future__ import annotations

import pytest
from emmet.core.mpid import AlphaID
from mp_api.client import MPRester
from mp_api.client.core.exceptions import MPRestError
from mp_api.client.routes.materials.materials import MaterialsRester
from servers import Service
from world import World

KEY = "k" * 32


def materials(service: Service) -> MaterialsRester:
    return MaterialsRester(
        api_key=KEY, endpoint=f"{service.api.url}/", use_document_model=False, mute_progress_bars=True
    )


def test_blessed_entries_come_from_the_genuine_api(service: Service, world: World) -> None:
    found = materials(service).get_blessed_entries(run_type="GGA", material_ids=["mp-3000000", "mp-3000010"])
    energies = {int(AlphaID(doc["material_id"])): doc["blessed_entry"]["energy"] for doc in found}
    assert energies == {m.number: m.tasks[0].steps[-1].e_0 for m in world.materials[:2]}


def test_trajectory_comes_from_the_table(service: Service, world: World, tmp_path) -> None:
    client = MPRester(KEY, endpoint=f"{service.api.url}/", local_dataset_cache=tmp_path, mute_progress_bars=True)
    found = client.materials.tasks.get_trajectory("mp-3000000")
    assert found["energy"] == [step.e_0 for step in world.materials[0].tasks[0].steps]
    assert client.materials.tasks.get_trajectory("mp-3000030")["energy"] == [0.0] * 4  # VASP 5


def test_the_stock_bulk_path_loses_rows_without_batch_id(service: Service, world: World, tmp_path) -> None:
    client = MPRester(KEY, endpoint=f"{service.api.url}/", local_dataset_cache=tmp_path, mute_progress_bars=True)
    kept = len(client.materials.tasks.search())
    assert kept == sum(task.batch_id is not None for task in world.tasks())
    assert kept < len(list(world.tasks()))


def test_a_short_page_is_taken_for_complete(service: Service) -> None:
    service.api.order({"match": "/blessed_tasks/", "times": 9, "keep": 1})
    found = materials(service).get_blessed_entries(run_type="GGA", material_ids=["mp-3000000", "mp-3000010"])
    assert len({doc["material_id"] for doc in found}) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_server_errors_are_not_retried(service: Service, status: int) -> None:
    client = materials(service)
    service.api.order({"match": "/blessed_tasks/", "status": status})
    with pytest.raises(MPRestError):
        client.get_blessed_entries(run_type="GGA", material_ids=["mp-3000000"])
