from __future__ import annotations

from uprung.job.provenance import hardware, versions


def test_versions_and_hardware() -> None:
    found = versions("chgnet", "vesin")
    assert {"python", "torch", "chgnet", "numpy"} <= found.keys()
    assert "not installed" not in {found[name] for name in ("torch", "chgnet", "numpy", "vesin")}
    facts = hardware()
    assert set(facts) == {"processor", "cores", "system"}
    assert facts["cores"] >= 1
