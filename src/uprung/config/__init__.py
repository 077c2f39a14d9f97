"""The study file: one typed model per section; `study.Study` is the whole."""
