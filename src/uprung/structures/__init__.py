"""When two structures are the same: canonical form, alignment, twins, pairs of fidelities, duplicates.

A crystal is recognised whatever periodic image an atom is written in, in whatever order the sites are, wherever the
origin is, whichever vectors span the lattice (left-handed ones included), and however it is rotated or mirrored.
Another number of atoms is another structure: a supercell is no twin of its cell.

`lattices` reduces cells and relates them, `identity` has the canonical form and aligns two crystals, `twins` finds
equal ones among many, `pairs` pairs two fidelities, `duplicates` leaves out what a fidelity has twice.
"""
