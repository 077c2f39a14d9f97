"""The fenced blocks of README and docs: found, and held against what the repository has."""
