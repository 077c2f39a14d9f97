"""JSON schema of the study file and list of its keys, both generated from the models.

`python -m uprung.config.docs config` writes `config/schema.json` and `config/README.md`.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from uprung.config.formats import FORMATS
from uprung.config.points import PointsStudy
from uprung.config.short import FUNCTIONALS, PAIR, PRESETS, presets
from uprung.config.study import Study

FIRST_STUDY = """study: mine
data: {low: pbe.extxyz, high: r2scan.extxyz}   # or a preset: data: dimers
architecture: chgnet-0.3.0                     # the pretrained network
arms:
  scratch:  {init: random}
  transfer: {references: residual}
sizes: [100, 400, all]
seeds: 3
steps: 2000
"""
SUFFIXES = ", ".join(f"`{suffix}`" for known in FORMATS.values() for suffix in known.suffixes)
INTRODUCTION = f"""# The study file

One YAML file describes a study. Snakemake reads `config/demo.yaml` unless `--configfile` names another. A whole study:

```yaml
{FIRST_STUDY}```

Everything else has a default. Four keys are short forms of sections; what a section says beside them takes precedence.

| key | stands for |
|---|---|
| `data: {{low: …, high: …}}` | `fidelities` `low` and `high`, their pair `{PAIR}`, and `transfer.pair` |
| `data: <preset>` | the sections of the preset, see below |
| `steps: 2000`, `epochs: [50, 100]` | `budgets` `steps2000`, or `epochs50` and `epochs100` |
| `architecture: [<checkpoint>, …]` | every arm once for each, `<arm>-<checkpoint>`, with residual references each |

A side of `data` is a file, or `{{file: …}}` with further keys of a fidelity and its source; `match`, `tolerance` and
`note` of the pair may stand beside the sides. Defaults: functional {FUNCTIONALS["low"]} and
{FUNCTIONALS["high"]}; the format that the name suggests ({SUFFIXES},
or a folder of VASP runs); a label scale that says that it was not stated, in manifests and report.

A study file means what it says. A key given twice, a number that YAML reads in another base (`0100` is 64, `1:30` is
90), `.inf`, `.nan`, and `yes` or `no` for a number are errors with file, line and key; `1e-3` is a number.

Every key, its type, its default and its meaning follow; `make schema` writes the list from the code.
`<name>` stands for a name of your own: letters, digits and single hyphens. A key of earlier versions is an error that
names the new one. Editors that know JSON schema complete and check a study file that starts with

```yaml
# yaml-language-server: $schema=schema.json
```

| study file | content |
|---|---|
| `demo.yaml` | small crystals, split by material, three arms, minutes on two CPU cores |
| `dimers.yaml` | interpolation along the curves of dimers, five arms, some 40 minutes on two CPU cores |
| `arms.yaml` | sixteen kinds of arms on dimers at one size, about half an hour on two CPU cores |
| `softening.yaml` | soft forces corrected by one number and by training on the same structures; `snakemake softening` |
| `physics.yaml` | surfaces, vacancies, elasticity, phonons before and after transfer, 3 hours; `snakemake physics` |
| `replica.yaml` | the published protocol in small, on dimers, ten minutes on two CPU cores |
| `architectures.yaml` | softening of all published checkpoints; transfer of several architectures on the crystals |
| `paper.yaml` | the published study at full size, downloaded from the Materials Project |
| `points.yaml` | scaling laws for a table of points of your own; trains nothing |
| `published.yaml` | the published study's scaling laws with intervals; trains nothing |
| `lithium.yaml` | a second published curve of three sizes and one seed, and what it cannot say; trains nothing |

## Presets

```yaml
{PRESETS.read_text(encoding="utf-8")}```
"""
POINTS = """## A study of given points

A study file with the key `points` trains nothing and has only these keys; `laws` and `report` are those of other
studies (`scaling.laws`, `report`)."""


def schema_text() -> str:
    """Return the JSON schema of a study file, short forms included."""
    schema = TypeAdapter(Study | PointsStudy).json_schema(by_alias=True)
    models = schema["$defs"]
    models["Arm"]["required"].remove("references")  # has a default where `init: random`
    study, transfer, softening = (models[name] for name in ("Study", "Transfer", "Softening"))
    transfer["required"].remove("pair")
    study["required"] = ["study", "arms", "sizes", "seeds"]
    one = study["properties"]["architecture"]
    name = {key: one.pop(key) for key in ("pattern", "type")}
    one["anyOf"] = [name, {"type": "array", "items": name, "minItems": 1, "uniqueItems": True}]
    study["properties"] |= _short_forms(models)
    for test, known in ((softening, presets()["sets"]), (models["Physics"], presets()["physics"])):
        sets = test["properties"]["sets"]
        own = {key: sets.pop(key) for key in ("additionalProperties", "propertyNames", "type") if key in sets}
        names = {"type": "string", "enum": list(known)}
        sets["anyOf"] = [own, {"type": "array", "items": {"anyOf": [names, own]}}]
        if sets.pop("minProperties", None):
            sets["anyOf"][0] = own | {"minProperties": 1}
            sets["anyOf"][1]["minItems"] = 1
            models["VariedPhysicsSet"] = {k: value for k, value in models["PhysicsSet"].items() if k != "required"}
            varied = {name: {"$ref": "#/$defs/VariedPhysicsSet"} for name in known}
            options = {"type": "object", "properties": varied, "additionalProperties": False}
            sets["anyOf"][1]["items"]["anyOf"].append(options)
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _short_forms(models: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of every short form; a side of `data` has the keys of a fidelity and of a source."""
    keys = models["Source"]["properties"] | models["Fidelity"]["properties"]
    side = {"anyOf": [{"type": "string"}, {"type": "object", "properties": keys, "additionalProperties": False}]}
    pair = models["Pair"]["properties"] | {"low": side, "high": side}
    own = {"type": "object", "properties": pair, "additionalProperties": False, "required": ["low", "high"]}
    length = {"type": "integer", "minimum": 1}
    lengths = {"anyOf": [length, {"type": "array", "items": length}]}
    return {
        "data": {
            "anyOf": [{"type": "string", "enum": list(presets()["data"])}, own],
            "description": "Data to compare.",
        },
        "steps": {**lengths, "description": "Length of training in optimiser steps."},
        "epochs": {**lengths, "description": "Length of training in epochs."},
    }


def key_list() -> str:
    """Return the list of all keys as Markdown, one table per section of the study file."""
    points = "".join(_section("", PointsStudy)).replace("## Top level", POINTS, 1)
    return INTRODUCTION + "".join(_section("", Study)) + points.split("\n## `")[0]


def _section(path: str, model: type[BaseModel]) -> list[str]:
    title = f"\n## `{path}`\n" if path else "\n## Top level\n"
    lines = [title, "\n| key | type | default | meaning |\n|---|---|---|---|\n"]
    nested: list[tuple[str, type[BaseModel]]] = []
    for name, info in model.model_fields.items():
        key = info.alias or name
        inner, suffix = _model_inside(info.annotation)
        if inner is not None:
            nested.append((f"{path}.{key}{suffix}".lstrip("."), inner))
        kind = f"see `{nested[-1][0]}`" if inner is not None else f"`{_type_name(info.annotation)}`"
        lines.append(f"| `{key}` | {kind} | {_default(info)} | {info.description or ''} |\n")
    for inner_path, inner_model in nested:
        lines += _section(inner_path, inner_model)
    return lines


def _model_inside(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the model that a field holds, and how its entries are addressed."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    arguments = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    if not arguments:
        return None, ""
    suffixes = {dict: ".<name>", list: "[]"}  # a section that may be absent has none
    return arguments[0], next((text for kind, text in suffixes.items() if get_origin(annotation) is kind), "")


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(str(a) for a in arguments)
    if origin in (Union, types.UnionType):
        return " \\| ".join(_type_name(a) for a in arguments if a is not type(None))
    if origin is dict:
        return f"{_type_name(arguments[0])}: {_type_name(arguments[1])}"
    if origin is list:
        return f"list of {_type_name(arguments[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type_name(annotation.__origin__)
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "" if info.default_factory else "required"
    if info.default is None or isinstance(info.default, dict | BaseModel):
        return ""
    return f"`{json.dumps(info.default, ensure_ascii=False)}`"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "schema.json").write_text(schema_text(), encoding="utf-8")
    (folder / "README.md").write_text(key_list(), encoding="utf-8")
