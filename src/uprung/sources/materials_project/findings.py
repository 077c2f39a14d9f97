"""Findings of a validator: kept with the frames, listed, counted; they decide nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FindingKind = Literal["invalid", "warning", "not checked"]
#: Kinds that the frames of a calculation carry.
FLAGGED = ("invalid", "not checked")


@dataclass(frozen=True)
class Finding:
    """One remark on a calculation."""

    kind: FindingKind
    what: str  # few words, the same for all calculations with this finding
    text: str


@dataclass(frozen=True)
class Validated:
    """A calculation that a validator looked at; without findings it passed all checks."""

    task_id: str
    calculation: int
    run_type: str
    findings: Sequence[Finding]

    @property
    def flags(self) -> tuple[str, ...]:
        """What the frames of the calculation carry: `invalid: LREAL`, `not checked: potentials`."""
        return tuple(sorted({f"{f.kind}: {f.what}" for f in self.findings if f.kind in FLAGGED}))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the findings as rows of the listing."""
        for f in self.findings:
            own = {"task_id": self.task_id, "calculation": self.calculation, "run_type": self.run_type}
            yield {**own, "kind": f.kind, "what": f.what, "text": f.text}


@dataclass
class Counts:
    """How many calculations have which findings."""

    verdicts: Counter[str] = field(default_factory=Counter)
    calculations: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, validated: Validated) -> None:
        """Count a calculation."""
        kinds = {finding.kind for finding in validated.findings}
        self.verdicts["invalid" if "invalid" in kinds else "partly checked" if "not checked" in kinds else "valid"] += 1
        for kind, what in {(finding.kind, finding.what) for finding in validated.findings}:
            self.calculations[kind][what] += 1

    def facts(self) -> dict[str, Any]:
        """Return counts for the manifest: verdicts, then calculations by finding, most frequent first."""
        return {
            "calculations": self.verdicts.total(),
            **{verdict: self.verdicts[verdict] for verdict in ("valid", "partly checked", "invalid")},
            "findings": {
                kind: dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
                for kind, found in sorted(self.calculations.items())
            },
        }
