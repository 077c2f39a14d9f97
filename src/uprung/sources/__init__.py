"""Readers of labelled structures: files and published data sets in, frames and rejected records out.

A format is declared in `uprung.config.formats`, its reader in `registry`; `opened` reads one source of a fidelity.
"""

from uprung.sources.opened import OpenSource, digests, open_source
from uprung.sources.registry import READERS

__all__ = ["READERS", "OpenSource", "digests", "open_source"]
