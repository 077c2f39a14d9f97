"""Elemental reference energies: fits of energy per atom on composition.

The model is E/atom = X · e with X (n, 94) the composition fractions (column Z − 1) and e (94,) the references in
eV/atom, without an intercept: Eq. 2 of Huang et al., npj Comput. Mater. 11, 313 (2025). Estimators follow
scikit-learn's conventions (`fit`, `predict`, `clone`) and tell where the data say something about e;
`uprung.atomref.references.complete` decides explicitly, element by element, what stands where they do not.
"""

from uprung.atomref.base import CompositionModel, UnseenElementError
from uprung.atomref.elements import ElementEnergies, element_energies, require_same_scale
from uprung.atomref.errors import bootstrap_stderr
from uprung.atomref.huber import Huber
from uprung.atomref.least_squares import LeastSquares
from uprung.atomref.ridge import PriorRidge, Ridge

__all__ = [
    "CompositionModel",
    "ElementEnergies",
    "Huber",
    "LeastSquares",
    "PriorRidge",
    "Ridge",
    "UnseenElementError",
    "bootstrap_stderr",
    "element_energies",
    "require_same_scale",
]
