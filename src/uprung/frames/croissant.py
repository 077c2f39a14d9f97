"""Croissant metadata of a frames table: a description of data sets that machine-learning tools read.

Format 1.0 of MLCommons (http://mlcommons.org/croissant/1.0): JSON-LD with the files, their hashes, and the columns.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from uprung.frames.schema import SCHEMA

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "column": "cr:column",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "recordSet": "cr:recordSet",
    "repeated": "cr:repeated",
    "source": "cr:source",
}
ABOUT = {
    "frame_id": "name of the structure",
    "material_id": "name of the material that it is of",
    "source": "data set that it comes from",
    "functional": "functional of the labels",
    "run_type": "kind of calculation",
    "label_scale": "code, pseudopotentials, U rule and corrections of the labels",
    "nsites": "number of atoms",
    "Z": "atomic numbers, one per atom",
    "lattice": "cell vectors by rows, 9 numbers, Å",
    "frac": "fractional coordinates, 3 per atom",
    "energy": "energy E0 (σ→0), eV per cell",
    "energy_free": "energy of which the forces are gradients, eV per cell",
    "correction": "correction of the energy, eV per cell, not contained in it",
    "forces": "forces, 3 per atom, eV/Å",
    "stress_gpa": "stress by rows, 9 numbers, GPa, tension positive",
    "magmom": "site moments, one per atom, μB",
    "provenance": "where in the source the structure stands",
    "trajectory": "simulation or relaxation that structures share",
    "flags": "remarks of a validator",
}


def croissant(manifest: dict[str, Any], *, name: str, licence: str = "unknown") -> dict[str, Any]:
    """Return the metadata of a frames table.

    Args:
        manifest: of the table.
        name: of the data set.
        licence: of the data, as an SPDX identifier or an address.
    """
    parts = [
        {
            "@type": "cr:FileObject",
            "@id": part["file"],
            "name": part["file"],
            "contentUrl": part["file"],
            "encodingFormat": "application/vnd.apache.parquet",
            "sha256": part["sha256"],
            "contentSize": f"{part['bytes']} B",
        }
        for part in manifest["parts"]
    ]
    sets = [_record_set(part["file"], several=len(parts) > 1) for part in manifest["parts"]]
    labels = ", ".join(f"{column} {count:,}" for column, count in manifest["labels"].items() if count)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{manifest['written']:,} crystals with labels of {manifest['functional']} "
        f"({manifest['label_scale']}); labels: {labels}; {len(manifest['elements'])} elements.",
        "license": licence,
        "isBasedOn": [{"name": file, "sha256": digest} for file, digest in manifest.get("sources", {}).items()],
        "distribution": parts,
        "recordSet": sets,
    }


def _record_set(file: str, *, several: bool) -> dict[str, Any]:
    own = f"frames/{file}" if several else "frames"
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{own}/{column.name}",
            "name": column.name,
            "description": ABOUT[column.name],
            "dataType": _kind(column.type),
            **({"repeated": True} if pa.types.is_list(column.type) else {}),
            "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
        }
        for column in SCHEMA
    ]
    return {"@type": "cr:RecordSet", "@id": own, "name": own, "field": fields}


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return _kind(kind.value_type)
    if pa.types.is_string(kind):
        return "sc:Text"
    return "sc:Integer" if pa.types.is_integer(kind) else "sc:Float"
