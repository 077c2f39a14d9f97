"""Figures: functions from data frames to matplotlib figures, one file per stage."""
