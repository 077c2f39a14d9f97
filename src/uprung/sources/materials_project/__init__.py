"""The Materials Project as a source: tables pulled as they are, then read into frames.

`pull` downloads, resumably and without interpreting anything; `records`, `filters` and `select` turn what was pulled
into frames, without a network. So another filter does not download anew.
"""
