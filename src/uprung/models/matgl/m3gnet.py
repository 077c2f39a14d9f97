"""M3GNet behind the door."""

from uprung.models.interface import Architecture
from uprung.models.matgl.architecture import behind
from uprung.models.matgl.card import M3GNET

ARCHITECTURE: Architecture = behind(M3GNET)
