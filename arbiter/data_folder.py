"""The data folder: who holds it, which mode it belongs to, and the small private files in it.

Every file in it is its owner's alone. The folder is too where Arbiter makes it or finds it empty. One that holds other
things is not ours to change: others may read it, since all they learn is names, but it is refused where others may
write to it, since they could then put keys of their own in the place of ours.
"""

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from arbiter.errors import ConfigError

DATABASE = "arbiter.db"
RUNNING = "running.json"
"""Where the running program says how it can be reached; gone after a clean stop."""
SOCKET = "grpc.sock"
"""Where this machine's own commands reach a program whose address speaks TLS; gone after a clean stop."""
API_KEY_FILE = "sandbox_api_key"
OPERATOR_KEY_FILE = "operator_api_key"
_CURE = "choose another folder with --data"
_PERMISSION = (errno.EACCES, errno.EPERM)
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Secret:
    """A private file that is made once. A damaged one is refused and never made anew in silence: what others hold was made with it."""

    name: str
    is_whole: Callable[[str], object]
    """Whether a text has the form in which it was made."""
    cure: str


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
            self._close_to_others()
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

    def _close_to_others(self) -> None:
        """See the top of this file. Raises ConfigError, or OSError where the folder cannot be looked at."""
        if not any(self.path.iterdir()):
            with suppress(PermissionError):  # somebody else's: then the check below decides
                self.path.chmod(0o700)
        if self.path.stat().st_mode & _OTHERS_MAY_WRITE:
            raise ConfigError(f"others may write to the data folder {self.path}, and so replace its keys", f"chmod go-w it, or {_CURE}")

    def _require_mode(self, mode: str) -> None:
        owner = self.read_text("mode")
        if owner is None:
            self.write_private("mode", mode)
        elif not re.fullmatch("[a-z]+", owner):
            raise _damaged(self.path / "mode", owner, f"write the folder's mode into it, such as sandbox, or {_CURE}")
        elif owner != mode:
            raise ConfigError(f"the data folder {self.path} belongs to mode {owner}, this start is {mode}", _CURE)

    def read_text(self, name: str, errors: str = "strict") -> str | None:
        """A small file's text, or None where there is none."""
        try:
            return (self.path / name).read_text(errors=errors).strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {self.path / name}: {error}", _CURE) from None

    def read_or_make(self, spec: Secret, make: Callable[[], str]) -> str:
        """The secret's text; where there is none, what `make` gives, kept from now on. Raises ConfigError for a damaged one."""
        text = self.read_secret(spec)
        if text is None:
            text = make()
            self.write_private(spec.name, text)
        return text

    def read_secret(self, spec: Secret) -> str | None:
        """The secret's text, or None where there is none. Raises ConfigError for a damaged one."""
        text = self.read_text(spec.name, errors="replace")
        if text is not None and not spec.is_whole(text):
            raise _damaged(self.path / spec.name, text, spec.cure)
        return text

    def write_private(self, name: str, text: str) -> None:
        """Replace a small file, readable by its owner alone. Not even a power cut leaves anything but the old text or the new."""
        target = self.path / name
        beside = self.path / f".{name}.{secrets.token_hex(4)}"
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())  # before the name points to it
            beside.replace(target)
            self._sync()
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            cure = f"mend the folder's permissions, or {_CURE}" if error.errno in _PERMISSION else _CURE
            raise ConfigError(f"cannot write {target}: {error.strerror}", cure) from None

    def _sync(self) -> None:
        """Make the names in the folder durable."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, name: str) -> None:
        """Delete a small file if it is there."""
        (self.path / name).unlink(missing_ok=True)


def _damaged(path: Path, text: str, cure: str) -> ConfigError:
    return ConfigError(f"{path} is {'damaged' if text else 'empty'}", cure)
