"""The command line, and everything that touches the terminal."""
