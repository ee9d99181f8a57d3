"""Seeing what a network was given, what it learned and where it errs."""
