"""The Materials Project as a source: tables downloaded as they are, then read into frames.

`download` is resumable and interprets nothing; `records`, `filters` and `select` make frames of its tables without a
network. So another filter does not download anew.
"""
