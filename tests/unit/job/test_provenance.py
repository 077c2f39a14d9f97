from __future__ import annotations

from uprung.job.provenance import hardware, versions


def test_versions_and_hardware() -> None:
    found = versions("chgnet", "vesin")  # those of an architecture
    assert {"uprung", "python", "torch", "chgnet", "numpy", "vesin"} <= found.keys()
    assert "not installed" not in found.values()
    assert versions("nothing")["nothing"] == "not installed"
    facts = hardware()
    assert set(facts) == {"processor", "cores", "system"}
    assert facts["cores"] >= 1
