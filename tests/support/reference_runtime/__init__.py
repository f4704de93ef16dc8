"""The rules of the runtime in plain Python: knobs, limits, memory, padding, windows, noise, side inputs, rate search.

They share nothing with the native library, which is compared with them. What they raise are the errors that the library
reports, with the same texts.
"""
