"""The tables of `law_coverage.py` for docs/laws.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from uprung.laws import LAWS, TITLES

#: Columns of the tables of coverage: entry -> head. Coverage is claimed for these.
CLAIMED = {
    "exponent": "exponent",
    "band": "band",
    "run": "new run",
    "met": "crossover",
    "none": "no crossover",
    "both": "two exponents",
    "far": "10 × largest",
}


def percent(value: float | None) -> str:
    """Return a coverage in per cent, marked where it is outside 92 to 98 %; '' where there is none."""
    if value is None:
        return ""
    text = f"{100 * value:.1f}"
    return text if 0.92 <= value <= 0.98 else f"**{text}**"


def share(value: float | None) -> str:
    """Return a share in per cent, '' where there is none."""
    return "" if value is None else f"{100 * value:.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(cell: Mapping[str, Any]) -> list[str]:
    return [TITLES[cell["law"]], str(cell["sizes"]), str(cell["seeds"])]


def coverage_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return coverage by law, sizes and seeds."""
    rows = []
    for cell in found:
        if "refused" in cell:
            rows.append([*_cell(cell), *["refused"] * len(CLAIMED), "", ""])
            continue
        ratio = f"{cell['median_ratio']:.1f}" if cell["median_ratio"] > 0 else "open"
        rows.append([*_cell(cell), *(percent(cell[k]) for k in CLAIMED), f"{cell['median_width']:.2f}", ratio])
    return table(["law", "sizes", "seeds", *CLAIMED.values(), "width of a", "high / low"], rows)


def stress_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return coverage where something is not as the intervals assume."""
    rows = []
    for cell in found:
        what = cell["noise"] if cell["tested"] else f"{cell['noise']}, no predictions"
        false = share(1 - cell["chosen"][cell["law"]])
        rows.append([what, *_cell(cell), *(percent(cell[k]) for k in CLAIMED), false])
    return table(["noise", "law", "sizes", "seeds", *CLAIMED.values(), "other law chosen"], rows)


def selection_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return how often each law is chosen, by the true one."""
    rows = []
    for cell in found:
        if "refused" in cell:
            continue
        chosen = [share(cell["chosen"][law]) for law in LAWS]
        hit = LAWS.index(cell["law"])
        chosen[hit] = f"_{chosen[hit]}_"
        rows.append([*_cell(cell), *chosen, *(percent(cell[k]) for k in ("far_chosen", "far_any"))])
    return table(["truth", "sizes", "seeds", *(TITLES[law] for law in LAWS), "chosen law", "any law"], rows)


def reach_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return how often an extrapolation by ten is given, and is right; the back-test; alarms of the shape test."""
    rows = []
    for cell in found:
        if "refused" not in cell:
            shares = [share(cell["said"]), percent(cell.get("far_said")), percent(cell.get("back"))]
            rows.append([*_cell(cell), *shares, share(cell.get("alarm")), share(cell.get("bent"))])
    return table(["truth", "sizes", "seeds", "given", "then right", "back-test", "rises", "falls faster"], rows)


def filter_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return exponents of curves near the baseline, by how their runs are chosen."""
    rows = []
    for cell in found:
        who = {"test": "each run, on the test", "validation": "each size, on validation"}[cell["rule"]]
        about = [f"{cell['exponent']:g}", f"{cell['baseline']:g}", f"{100 * cell['seed']:.0f} %"]
        values = [f"{cell['mean']:.3f}", percent(cell["coverage"]), share(cell["refused"])]
        rows.append([*about, f"{100 * cell['blown']:.0f} %", who, *values])
    head = ["true a", "baseline", "scatter", "blown up", "chosen", "mean a", "coverage", "refused"]
    return table(head, rows)


def page_tables(record: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> table of a record."""
    plain = [c for c in record["cells"] if c["noise"] == "as stated" and c["tested"] and c["seeds"] > 1]
    main = [c for c in plain if c["sizes"] != 3]
    stress = [c for c in record["cells"] if c not in main]
    return {
        "coverage": coverage_table(main),
        "stress": stress_table(stress),
        "selection": selection_table(main),
        "reach": reach_table(main),
        "filter": filter_table(record["filters"]),
    }


def fill(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with its tables, which stand between <!-- name --> and <!-- /name -->, replaced."""
    for name, text in tables.items():
        page, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"the page needs <!-- {name} --> and <!-- /{name} --> once; found {count}")
    return page
