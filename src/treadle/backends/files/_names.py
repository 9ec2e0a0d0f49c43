"""Names of files that contain ids, and reading such files."""

import errno
import os
import re

from treadle.backends._plain_files import NotPlainFile
from treadle.backends.files.disk import Disk
from treadle.core.ids import IdKind, check_id
from treadle.errors import CorruptRecord, InvalidId

_IS_WINDOWS = os.name == "nt"
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*]')  # `a:b` would be written into the file `a`


def check_file_name(kind: IdKind, key: str) -> None:
    """Check that an id can be in the name of a file on this system.

    Raises:
        InvalidId: it cannot; its path might lead out of the folder, or to another file.
    """
    check_id(kind, key)
    if _IS_WINDOWS and (found := _NOT_ON_WINDOWS.search(key)):
        reason = f"on Windows no file name has {found[0]!r}; use another id, or another backend"
        raise InvalidId(kind, key, reason)


def read_file(disk: Disk, path: str, where: str) -> bytes | None:
    """Return what is in a file, or None if it is missing; `where` names it for errors.

    Raises:
        CorruptRecord: a link, a folder or a pipe is at its path, the disk or its permissions do
            not let it be read.
    """
    try:
        return disk.read(path)
    except FileNotFoundError:
        return None
    except NotPlainFile as error:
        raise CorruptRecord(where, error.reason) from error
    except OSError as error:
        if not isinstance(error, PermissionError) and error.errno != errno.EIO:
            raise  # too many open files, say: that is not about this file
        raise CorruptRecord(where, str(error)) from error
