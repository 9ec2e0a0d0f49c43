"""Reading models from JSON files and journals; an error names what is wrong with them."""

import codecs
from typing import TypeVar

from treadle.core.codec import Model, checked, decode
from treadle.errors import CorruptRecord, InvalidValue

ModelT = TypeVar("ModelT", bound=Model)

_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * 20
"""As many digits as the largest integer of 64 bits has."""


def plain_text(data: bytes, where: str) -> bytes:
    """Return a text without the mark that some editors begin it with.

    Raises:
        CorruptRecord: it is UTF-16; `where` names it.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CorruptRecord(where, "it is UTF-16; save it as UTF-8")
    return data.removeprefix(codecs.BOM_UTF8)


def decode_model(kind: type[ModelT], data: bytes, where: str) -> ModelT:
    """Read a model that can be written again.

    Raises:
        CorruptRecord: it is not of that kind, or has integers of more than 64 bits.
    """
    try:
        value = decode(kind, data)
        if _LONG_NUMBER in data.translate(_AS_ZEROS):  # ten times cheaper than the check
            checked(value)
    except (CorruptRecord, InvalidValue) as error:
        raise CorruptRecord(where, error.reason) from error
    return value
