"""An independent reader of the archive: replays the Delta log itself and reads the live files with pyarrow.

It shares no code with the program or with a Delta library, and it fails loudly on anything that does not add up.
"""

from .archive import Archive, read_archive
from .delta import Inconsistent, Table, read_table

__all__ = ["Archive", "Inconsistent", "Table", "read_archive", "read_table"]
