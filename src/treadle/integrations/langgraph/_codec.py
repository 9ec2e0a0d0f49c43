"""Values as bytes, by LangGraph's serializer.

They are encrypted only in the store, so that they can be compared.
"""

from base64 import b64decode, b64encode
from typing import Any, TypeAlias

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

import treadle
from treadle.integrations.langgraph._layout import Sealed

Plain: TypeAlias = tuple[str, bytes]
"""A value as the name of a format and bytes, not encrypted."""


class Codec:
    """Serializes values; with an `EncryptedSerializer` in two steps, else in one."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = serde
        self._cipher: CipherProtocol | None = None
        # A subclass may do something else with the bytes; then its bytes are the plain ones.
        if type(serde) is EncryptedSerializer:
            self._serde, self._cipher = serde.serde, serde.cipher

    def dump(self, value: Any) -> Plain:
        """Return a value as bytes."""
        return self._serde.dumps_typed(value)

    def load(self, plain: Plain) -> Any:
        """Return the value that the bytes stand for."""
        return self._serde.loads_typed(plain)

    def seal(self, plain: Plain) -> Sealed:
        """Return what is stored of a value."""
        kind, data = plain
        if self._cipher is not None:
            name, data = self._cipher.encrypt(data)
            kind = f"{kind}+{name}"
        return Sealed(kind, b64encode(data).decode())

    def unseal(self, sealed: Sealed) -> Plain:
        """Return the bytes of what is stored; values from before the encryption are plain.

        Raises:
            CorruptRecord: they are not base64.
        """
        try:
            data = b64decode(sealed.data, validate=True)
        except ValueError as error:
            raise treadle.CorruptRecord("a value of a checkpoint", str(error)) from error
        kind, is_encrypted, name = sealed.format.partition("+")
        if self._cipher is None or not is_encrypted:
            return sealed.format, data
        return kind, self._cipher.decrypt(name, data)

    def dump_sealed(self, value: Any) -> Sealed:
        """Return a value as it is stored."""
        return self.seal(self.dump(value))

    def load_sealed(self, sealed: Sealed) -> Any:
        """Return a stored value."""
        return self.load(self.unseal(sealed))
