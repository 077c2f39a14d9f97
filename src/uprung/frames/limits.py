"""Bounds of what is read: beyond them lie mistakes of a unit, damage, and files that would fill a machine.

What is beyond a bound is listed in the manifest as rejected, with the reason, and the rest is read on.
"""

from __future__ import annotations

#: Labels beyond these are mistakes of a calculation or of a unit, not physics (dimers at 0.5 Å stay below).
LIMITS = {
    "energy per atom": (1e3, "eV/atom"),
    "free energy per atom": (1e3, "eV/atom"),
    "correction per atom": (1e3, "eV/atom"),
    "force": (1e4, "eV/Å"),
    "stress": (1e4, "GPa"),
    "magmom": (20.0, "μB"),
}
#: Volume per atom, Å³: below lies hydrogen under terapascals or a cell in nanometres, above no box of a calculation.
VOLUMES = (0.5, 1e7)
#: Å. Two atoms that are closer, periodic images included, are one atom given twice: no potential is computed there.
NEAREST = 0.1
#: Cells. A graph counts images in eight bits.
IMAGES = 127
#: Atoms of a structure: far more than plane waves can do.
ATOMS = 20_000
#: Å, of pairs and of the bonds that make angles; what a graph of one structure may hold: some 100 and 200 MB.
CUTOFFS = (6.0, 3.0)
PAIRS, ANGLES = 10_000_000, 20_000_000
#: Characters of a name (an array of names has the width of the longest), and of any other text.
NAME, TEXT = 256, 1_000
#: Bytes of one structure in a file, decompressed: beyond, a line, a brace or a quote does not end.
RECORD = 1 << 26
#: Bytes of a JSON file that is read as a whole.
WHOLE = 1 << 30
