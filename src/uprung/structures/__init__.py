"""Identity of a geometry: pairs of structures across fidelities."""
