"""python -m edgecodec"""

from __future__ import annotations

from edgecodec.cli import main

main()
