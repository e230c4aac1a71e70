"""Scores of runs: reading them, statistics, and published numbers."""
