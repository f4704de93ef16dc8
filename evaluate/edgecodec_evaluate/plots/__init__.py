"""Plots of a summary. The same summary gives the same files."""
