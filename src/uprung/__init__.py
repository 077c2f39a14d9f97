"""uprung: how far a GGA-pretrained potential carries over to r²SCAN, and how many labels that saves."""

__version__ = "0.1.0"
