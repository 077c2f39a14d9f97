"""Section of the study file about networks of the user, beside the published ones."""

from __future__ import annotations

from pydantic import Field

from uprung.config.base import FileName, Name, Section


class OwnCheckpoint(Section):
    """A pretrained network in a file of yours, which the study may name wherever it names a published checkpoint."""

    file: FileName = Field(description="File or folder that the architecture's own package, or uprung, wrote.")
    architecture: Name = Field(
        description="Architecture of the network: `chgnet`, `m3gnet`, `tensornet`, `sevennet`, `mace`."
    )
    functional: str = Field(min_length=1, description="Functional of the labels that it was trained on.")
    label_scale: str = Field(
        min_length=1, description="Code, U rule and corrections of those labels, in words; the report states it."
    )
    training_set: str = Field(default="", description="Name of the data set that it was trained on.")
