"""Settings of all unit tests."""

from __future__ import annotations

from hypothesis import settings

# a busy machine takes longer than Hypothesis allows by default; speed is shown by benchmarks
settings.register_profile("uprung", deadline=None)
settings.load_profile("uprung")
