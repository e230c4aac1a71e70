"""One training: its loop, and the parts that the loop is given."""
