"""Labels of one's own: structures in, PBE or r²SCAN energies, forces and stresses out."""
