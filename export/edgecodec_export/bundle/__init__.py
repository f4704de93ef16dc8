"""Bundles as folders on disk: their description, golden pictures, model card and manifest.

The description is the runtime's own `BundleInfo`. The manifest is written from it once, as the last file.
"""
