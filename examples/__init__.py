"""Small programs to read and to run, each on its own."""
