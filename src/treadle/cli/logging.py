"""Logs of `treadle work`: lines of text, or JSON lines."""

import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec

from treadle.cli.terminal.escaping import HarmlessFormatter
from treadle.core.escaping import harmless_json

LogForm: TypeAlias = Literal["text", "json"]


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, with its traceback as one text."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _message_of(record),
        }
        for name in ("entry_id", "mailbox_id"):
            if (value := getattr(record, name, None)) is not None:
                line[name] = str(value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        storable = msgspec.json.encode(_valid(line))
        return harmless_json(storable).decode()


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # the arguments of somebody's call do not fit: the line is still wanted
        return f"{record.msg} {record.args!r}"


def log_to_stderr(form: LogForm, *, verbose: bool) -> None:
    """Write what Treadle and the handler log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter())
        logging.captureWarnings(capture=True)
    else:
        text = "%(asctime)s %(process)d %(levelname)s %(message)s"
        handler.setFormatter(HarmlessFormatter(text))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("treadle").setLevel(logging.DEBUG if verbose else logging.INFO)


def _valid(line: dict[str, object]) -> dict[str, object]:
    """Return the line without half characters, which no JSON has."""
    texts = {name: text for name, text in line.items() if isinstance(text, str)}
    return line | {
        name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()
    }
