"""A trained agent: to load, to look at, to report on, to export."""
