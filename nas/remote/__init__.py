"""Directories and files at URLs, as verbs see them: copied to this machine, and what changes put back."""
