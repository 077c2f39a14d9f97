"""THE table: one row per labelled structure.

`schema` says what a row is, `parts` stores rows as Parquet, `intake` takes the records of sources and writes the
manifest, `table` reads a table back, `flat` has what flat per-atom values need.

Units: eV, Å, eV/Å, GPa (tension positive, as CHGNet and ASE), μB. Per-atom quantities are flat lists, which
Parquet stores as typed columns. A table is complete when its `manifest.json` exists: it is written last, by
rename, and names every part with its hash, every rejected record with its reason, and the counts between.
"""
