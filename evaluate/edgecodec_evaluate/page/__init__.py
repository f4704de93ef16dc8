"""A page that compares decodes of a picture with the original, complete in one HTML file.

`comparison` makes the content from files and an opened bundle, `as_html` the page from the content.
"""

from edgecodec_evaluate.page.comparing import comparison
from edgecodec_evaluate.page.content import Content, Point
from edgecodec_evaluate.page.writing import as_html

__all__ = ["Content", "Point", "as_html", "comparison"]
