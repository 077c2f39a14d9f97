"""The version, in a module that imports nothing: what uses it does not depend on the functions of the package."""

__version__ = "0.2.0"
