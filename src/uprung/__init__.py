"""uprung: how far a GGA-pretrained potential carries over to r²SCAN, and how many labels that saves.

`read`, `shift`, `references`, `rereference`, `softening`, `law` and `committee` are the pieces of the workflow for a
notebook (docs/python.md). They are imported when they are first asked for.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from uprung.version import __version__ as __version__

if TYPE_CHECKING:
    from uprung.api import committee, law, read, references, rereference, shift, softening

__all__ = ["committee", "law", "read", "references", "rereference", "shift", "softening"]


def __getattr__(name: str) -> Any:
    """Return one of the functions; the names of rooms are left to the import system."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r} (functions: {', '.join(__all__)})")
    from uprung import api

    return getattr(api, name)


class _Package(ModuleType):
    """The package, in which the function `softening` stands before the room that has its name.

    `from uprung.softening.slopes import ...` finds the room all the same: import statements ask `sys.modules`.
    """

    @property
    def softening(self) -> Any:
        """The function."""
        return __getattr__("softening")

    @softening.setter
    def softening(self, room: ModuleType) -> None:
        """Take no note of the room, which the import system sets here."""


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    """Return the functions and what else is here."""
    return sorted({*globals(), *__all__})
