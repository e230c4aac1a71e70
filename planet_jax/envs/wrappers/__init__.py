"""Wrappers of every family: agent steps, equal lengths and actions, OpenGL contexts, restarts."""
