"""What a file is, and how much memory it would take, before any library opens it. Loads no torch.

A wrong path, a web page in place of the file or half a download is named within a tenth of a second; torch takes
seconds to load. Sizes are worked out from directories and headers, so that a file that claims or unpacks to far more
than it holds is refused before memory is taken for it.
"""

from __future__ import annotations

from edgecodec_export.checkpoint_files.examining import Kind, examine
from edgecodec_export.checkpoint_files.limits import require_proportion

__all__ = ["Kind", "examine", "require_proportion"]
