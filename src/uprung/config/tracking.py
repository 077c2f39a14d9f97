"""Section of the study file about experiment trackers beside TensorBoard; it changes no result."""

from __future__ import annotations

import importlib.util
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, model_validator

from uprung.config.base import Section

#: What may stand in the query of a tracking address: nothing that could be a secret.
HARMLESS = ("application_name", "charset", "connect_timeout", "driver", "mode", "ssl_mode", "sslmode", "timeout")


class WandB(Section):
    """Weights & Biases. The key comes from the environment (`WANDB_API_KEY`) or from `wandb login`."""

    project: str = Field(min_length=1, description="Project to send runs to.")
    entity: str | None = Field(default=None, min_length=1, description="User or team; default: the key's own.")


_INSTEAD = (
    "(results keep the study file); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN, in the environment"
)


class MLflow(Section):
    """MLflow. User and password come from the environment (`MLFLOW_TRACKING_USERNAME`, ...) only."""

    tracking_uri: str = Field(
        min_length=1, description="Server (`https://mlflow.example.org`) or database (`sqlite:///runs.db`)."
    )
    experiment: str | None = Field(default=None, min_length=1, description="Experiment; default: the study's name.")

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        parts = urlsplit(self.tracking_uri)
        a_file = parts.scheme in ("", "file", "sqlite") and not parts.netloc  # whose path may have an @
        if "@" in parts.netloc + parts.path and not a_file:
            raise ValueError(f"tracking_uri: take user and password out {_INSTEAD}")
        options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        allowed = set() if parts.scheme in ("http", "https") else {*HARMLESS}
        if parts.fragment or options - allowed:
            raise ValueError(
                f"tracking_uri: take what follows `?` or `#` out, which may be a secret {_INSTEAD} (allowed after the "
                f"address of a database: {', '.join(HARMLESS)})"
            )
        return self


class Tracking(Section):
    """Experiment trackers that finished runs are sent to. TensorBoard events are always written."""

    wandb: WandB | None = Field(default=None, description="Weights & Biases; default: off.")
    mlflow: MLflow | None = Field(default=None, description="MLflow; default: off.")

    @property
    def services(self) -> list[str]:
        """Names of the services, which are those of their packages."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    def missing(self) -> str:
        """Return what to do about packages that are not installed; "" if none is missing."""
        names = [name for name in self.services if importlib.util.find_spec(name) is None]
        return "\n".join(
            f"tracking.{name}: the package {name} is not installed; python -m pip install {name}, in every environment "
            "that jobs run in, or take this key out"
            for name in names
        )
