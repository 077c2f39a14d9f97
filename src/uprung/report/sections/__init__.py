"""Sections of the page, one module each: tables, sentences and figures of a topic."""
