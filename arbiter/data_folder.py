"""The data folder: who holds it, which mode it belongs to, and the small private files in it."""

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from arbiter.errors import ConfigError

DATABASE = "arbiter.db"
RUNNING = "running.json"
"""Where the running program says how it can be reached; gone after a clean stop."""
API_KEY_FILE = "sandbox_api_key"
_CURE = "choose another folder with --data"
_PERMISSION = (errno.EACCES, errno.EPERM)


class DataFolder:
    """A folder that this process holds until `hold` ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def database(self) -> Path:
        return self.path / DATABASE

    @contextmanager
    def hold(self, mode: str) -> Iterator[None]:
        """Make the folder, take it for this process alone, and check that it belongs to `mode`. Raises ConfigError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            cure = f"mend its permissions, or {_CURE}" if error.errno in _PERMISSION else _CURE
            raise ConfigError(f"cannot write to the data folder {self.path}: {error.strerror}", cure) from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"another Arbiter is running on the data folder {self.path}", f"stop it, or {_CURE}") from None
            self._require_mode(mode)
            yield
        finally:
            os.close(lock)

    def _require_mode(self, mode: str) -> None:
        owner = self.read_text("mode")
        if owner is None:
            self.write_private("mode", mode)
        elif owner != mode:
            raise ConfigError(f"the data folder {self.path} belongs to mode {owner}, this start is {mode}", _CURE)

    def read_text(self, name: str) -> str | None:
        """A small file's text, or None where there is none."""
        try:
            return (self.path / name).read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {self.path / name}: {error}", _CURE) from None

    def read_or_make(self, name: str, make: Callable[[], str]) -> str:
        """A small file's text; where there is none, what `make` gives, kept from now on."""
        text = self.read_text(name)
        if text is None:
            text = make()
            self.write_private(name, text)
        return text

    def write_private(self, name: str, text: str) -> None:
        """Replace a small file at once, readable by its owner alone."""
        target = self.path / name
        beside = self.path / f".{name}.{secrets.token_hex(4)}"
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text + "\n")
            beside.replace(target)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            cure = f"mend the folder's permissions, or {_CURE}" if error.errno in _PERMISSION else _CURE
            raise ConfigError(f"cannot write {target}: {error.strerror}", cure) from None

    def remove(self, name: str) -> None:
        """Delete a small file if it is there."""
        (self.path / name).unlink(missing_ok=True)
