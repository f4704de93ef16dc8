"""Bundles as folders on disk: their description, index, golden pictures, model card and manifest.

The description is the runtime's own `Description`. Index and manifest are written from it, the manifest as the last
file.
"""
