"""In-memory collections with what emmet-api asks of MongoDB: counting, aggregation, and a little of Atlas `$search`.

Everything but `$search` is mongomock's. Operators of `$search` that are not listed here raise, so that no answer is
a guess.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import mongomock

Document = dict[str, Any]


def _value(document: Document, path: str) -> Any:
    node: Any = document
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _within(value: Any, bounds: Document) -> bool:
    return value is not None and all(
        (value >= bounds[key] if key == "gte" else value <= bounds[key]) for key in ("gte", "lte") if key in bounds
    )


OPERATORS: dict[str, Callable[[Document, Document], bool]] = {
    "exists": lambda doc, how: how["path"] == "_id" or _value(doc, how["path"]) is not None,
    "in": lambda doc, how: _value(doc, how["path"]) in _listed(how["value"]),
    "equals": lambda doc, how: _value(doc, how["path"]) == how["value"],
    "text": lambda doc, how: _value(doc, how["path"]) in _listed(how["query"]),
    "range": lambda doc, how: _within(_value(doc, how["path"]), how),
    "compound": lambda doc, how: (
        all(_holds(doc, clause) for clause in how.get("must", []))
        and not any(_holds(doc, clause) for clause in how.get("mustNot", []))
    ),
}


def _holds(document: Document, clause: Document) -> bool:
    ((name, how),) = clause.items()
    if name not in OPERATORS:
        raise NotImplementedError(f"$search operator {name!r}")
    return OPERATORS[name](document, how)


class Cursor:
    """What `aggregate` returns."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents = documents

    async def to_list(self, length: int | None = None) -> list[Document]:
        await asyncio.sleep(0)
        return self.documents[:length]


class Collection:
    """One collection; `replace` gives it other documents."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents = mongomock.MongoClient()["mp"][name]

    def replace(self, documents: list[Document]) -> None:
        self.documents.delete_many({})
        if documents:
            self.documents.insert_many(documents)

    async def estimated_document_count(self, **_: Any) -> int:
        return self.documents.estimated_document_count()

    async def count_documents(self, criteria: Document, **_: Any) -> int:
        return self.documents.count_documents(criteria)

    async def aggregate(self, pipeline: list[Document], **_: Any) -> Cursor:
        if pipeline and "$search" in pipeline[0]:
            return Cursor(self._search(pipeline))
        return Cursor(list(self.documents.aggregate(pipeline)))

    def _search(self, pipeline: list[Document]) -> list[Document]:
        """Answer a `$search` pipeline: matching, paging by token or by `$skip`, projection, count."""
        search = pipeline[0]["$search"]
        clauses = [{name: search[name]} for name in OPERATORS if name in search]
        hits = [doc for doc in self.documents.find() if all(_holds(doc, clause) for clause in clauses)]
        hits.sort(key=lambda doc: str(doc["_id"]))
        total, stages = len(hits), {name: how for stage in pipeline[1:] for name, how in stage.items()}
        if token := search.get("searchAfter"):
            hits = [doc for doc in hits if str(doc["_id"]) > base64.b64decode(token).decode()]
        hits = hits[stages.get("$skip", 0) :][: stages.get("$limit")]
        fields = [name for name, wanted in stages["$project"].items() if wanted == 1]
        return [
            {name: doc[name] for name in fields if name in doc}
            | {
                "meta": {"count": {"total": total}},
                "meta_pagination_token": base64.b64encode(str(doc["_id"]).encode()).decode(),
            }
            for doc in hits
        ]
