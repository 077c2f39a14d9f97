from __future__ import annotations

import pandas as pd

from uprung.softening.slopes import POOLED
from uprung.softening.softest import made_worse, shown_materials


def table(**slopes: list[float]) -> pd.DataFrame:
    """Return rows of checkpoints over materials a, b, c, ..., all components and larger forces, and a run."""
    rows = [
        {"model": model, "material": name, "slope": slope, "subset": "all", "mae": 1.0, "cmae": 0.9}
        for model, own in slopes.items()
        for name, slope in zip("abcdefghijklmnop", own, strict=False)
    ]
    found = pd.DataFrame(rows)
    return pd.concat(
        [
            found,
            found.assign(subset="|F| > 1", slope=-9.0),
            found.assign(model="run", slope=-9.0),
            found.head(1).assign(material=POOLED, slope=-9.0),
        ]
    )


def test_the_softest_materials_by_any_checkpoint_come_first() -> None:
    shown = shown_materials(table(x=[0.9, 0.5, 0.7], y=[0.8, 0.6, 0.2]), most=2)
    assert shown.to_numpy().tolist() == [["c", "y", 0.2], ["b", "x", 0.5]]


def test_a_named_material_is_shown_among_few_and_in_its_place() -> None:
    found = table(x=[0.9, 0.5, 0.7])
    found.loc[found["material"] == "a", "cmae"] = 1.5
    found.loc[found["material"] == "c", "cmae"] = 1.1
    worst = found[(found["subset"] == "all") & (found["model"] == "x")]
    assert made_worse(worst)["material"].tolist() == ["a", "c"]
    assert shown_materials(found, most=2)["material"].tolist() == ["b", "a"]


def test_without_checkpoints_and_slopes_nothing_is_shown() -> None:
    found = table(x=[float("nan")])
    assert shown_materials(found).empty
    assert shown_materials(found[found["model"] == "run"]).empty
