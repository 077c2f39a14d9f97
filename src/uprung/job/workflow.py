"""Where the workflow lies: in the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

LIBRARY = Path(__file__).parents[1]


def workflow_folder() -> Path:
    """Return the folder of the Snakefile, with its rules, scripts, study files, profiles and embedded data.

    Raises:
        FileNotFoundError: the package was installed without it.
    """
    for folder in (LIBRARY / "workflow", LIBRARY.parents[1]):
        if (folder / "Snakefile").is_file() and (folder / "rules").is_dir():
            return folder
    raise FileNotFoundError(f"no Snakefile beside {LIBRARY}: install uprung from its wheel or its checkout")
