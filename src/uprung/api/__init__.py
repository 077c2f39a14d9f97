"""What `import uprung` gives to a notebook: functions on structures in memory, the same that the workflow calls."""

from uprung.api.learning_law import LearningLaw, law
from uprung.api.potentials import ForceSlopes, Rereferenced, committee, rereference, softening
from uprung.api.reading import Reading, read
from uprung.api.reference_energies import references
from uprung.api.shifts import Shift, shift

__all__ = [
    "ForceSlopes",
    "LearningLaw",
    "Reading",
    "Rereferenced",
    "Shift",
    "committee",
    "law",
    "read",
    "references",
    "rereference",
    "shift",
    "softening",
]
