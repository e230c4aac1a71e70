"""One run: what it is, its training, evaluation and resume, and the agent it leaves."""
