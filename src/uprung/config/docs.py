"""The study file for readers and editors: a JSON schema and a list of every key, both from the models.

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

from uprung.config.points import PointsStudy
from uprung.config.study import Study

INTRODUCTION = """# The study file

One YAML file describes a study. Snakemake reads `config/demo.yaml` unless `--configfile` names another.
Editors that know JSON schema complete and check a study file that starts with

```yaml
# yaml-language-server: $schema=schema.json
```

Every key, its type, its default and what it does follow; the list is written from the code by `make schema`.
Keys that stand for a name of your own are written `<name>`: letters, digits and single hyphens.

| study file | what it is |
|---|---|
| `demo.yaml` | dimers, five arms, minutes on two CPU cores |
| `arms.yaml` | sixteen kinds of arms on dimers at one size, about half an hour on two CPU cores |
| `solids.yaml` | small crystals, split by material, about two hours on two CPU cores |
| `softening.yaml` | soft forces corrected by one number and by training on the same structures; `snakemake softening` |
| `paper.yaml` | the published study at full size, pulled from the Materials Project |
| `points.yaml` | laws for a table of points of your own; trains nothing |
| `published.yaml` | the published study's scaling laws with intervals; trains nothing |
"""
POINTS = """## A study of given points

A study file with the key `points` trains nothing and has these keys only; `laws` and `report` are those of the other
studies (`scaling.laws`, `report`)."""


def schema_text() -> str:
    """Return the JSON schema of a study file."""
    schema = TypeAdapter(Study | PointsStudy).json_schema(by_alias=True)
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


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
    (folder / "schema.json").write_text(schema_text())
    (folder / "README.md").write_text(key_list())
