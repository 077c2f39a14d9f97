"""Own DFT labels: structures in, PBE or r²SCAN energies, forces and stresses out."""
