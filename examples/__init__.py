"""Small programs, each to be read and run on its own."""
