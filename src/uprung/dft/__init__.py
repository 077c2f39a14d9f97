"""Labels computed by oneself: structures in, PBE or r²SCAN energies, forces and stresses out."""
