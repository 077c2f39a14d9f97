"""Run the notebooks of this folder and keep what they print: `python docs/notebooks/execute.py`.

Cells are plain Python and results are text, so that neither IPython nor a kernel is needed.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def outputs_of(cells: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Run the code cells one after the other; yield what each prints, and the value of its last expression."""
    names: dict[str, Any] = {"__name__": "notebook"}
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(tree, "cell", "exec"), names)  # noqa: S102 - the notebooks of this folder
            value = None
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307
        yield [text for text in (printed.getvalue(), "" if value is None else repr(value)) if text]


def execute(notebook: Path) -> None:
    """Run a notebook and write its outputs into it."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for number, (cell, texts) in enumerate(zip(code, outputs_of(content["cells"]), strict=True)):
        cell["execution_count"] = number + 1
        cell["outputs"] = [
            {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)} for text in texts
        ]
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each in sorted(Path(__file__).parent.glob("*.ipynb")):
        execute(each)
