"""Many runs: here, one after the other, and on Ray."""
