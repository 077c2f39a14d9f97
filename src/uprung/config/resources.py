"""Section of the study file about what jobs ask a scheduler for; it changes no result."""

from __future__ import annotations

from pydantic import Field

from uprung.config.base import Section


class Resources(Section):
    """Run time and memory of the first attempt of a job; every retry of a training asks for as much again."""

    minutes: int = Field(
        default=120,
        ge=1,
        description="Run time of a training. Under `epochs` this is for the largest size; smaller sizes ask for their "
        "share, a tenth at least.",
    )
    memory_mb: int = Field(
        default=4000,
        ge=500,
        description="Memory of a job that trains or uses a network, MB; a training adds 2 kB per structure.",
    )
    dft_minutes: float = Field(default=5.0, gt=0, description="Run time of a job of `own_dft`, per structure.")
    dft_memory_mb: int = Field(default=2000, gt=0, description="Memory of a job of `own_dft`, MB.")
    snapshot_minutes: float = Field(default=30.0, gt=0, description="Run time of a job of `snapshots`, per crystal.")
    correction_minutes: int = Field(
        default=240, ge=1, description="Run time of a fine-tuning on few structures, all materials and draws."
    )
