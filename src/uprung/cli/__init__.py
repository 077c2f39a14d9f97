"""The command `uprung`: studies from two files to a report, and the pieces of the workflow on one file."""
