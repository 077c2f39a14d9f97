"""TensorNet behind the door."""

from uprung.models.interface import Architecture
from uprung.models.matgl.architecture import behind
from uprung.models.matgl.card import TENSORNET

ARCHITECTURE: Architecture = behind(TENSORNET)
