"""Labels of two fidelities compared: energy shift and correlation."""
