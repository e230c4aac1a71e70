"""The command line, and everything that touches the disk and the terminal."""
