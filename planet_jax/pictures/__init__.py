"""Videos, curves and drawings."""
