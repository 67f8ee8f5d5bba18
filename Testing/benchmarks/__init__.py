"""Figures on real scans, side by side with other tools: `make bench`. Never part of the test run.

The process that runs a part imports the standard library only: every method and every scoring is a process of its own,
so that CPU seconds and peak memory are that method's alone.
"""
