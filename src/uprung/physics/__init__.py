"""Properties of crystals from energies, forces and stresses of a network, against published values."""
