"""Where the time of decoding or encoding goes: several engines and precisions side by side, on the same pictures.

Engines take turns, picture by picture, so that whatever else the machine does hits all of them alike.
"""
