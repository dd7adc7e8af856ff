"""One page about one or several runs: ``demjax report``.

``folder`` reads run folders, ``encode`` packs their numbers, ``page`` makes the page, which draws
itself with the plain JavaScript beside these modules, and ``command`` is the command.
"""

from demjax.report.folder import Run, read
from demjax.report.page import page

__all__ = ["Run", "command", "page", "read"]
