from __future__ import annotations

from uprung.job.provenance import hardware, versions


def test_versions_and_hardware() -> None:
    assert {"python", "torch", "chgnet", "numpy"} <= versions().keys()
    assert "not installed" not in {versions()[name] for name in ("torch", "chgnet", "numpy", "vesin")}
    facts = hardware()
    assert set(facts) == {"processor", "cores", "system"}
    assert facts["cores"] >= 1
