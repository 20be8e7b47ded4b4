"""Where the files that a plan names are."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import AnatomyError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def find_file(stated: str, field: str, folder: Path | None, anatomy: Path | None, *, folders: bool = False) -> Path:
    """The file that `stated` means; with `folders`, a folder too.

    Args:
        stated: as the plan has it; may contain ${ENVIRONMENT_VARIABLE}.
        field: the plan's field, for messages.
        folder: of the plan's file; the working directory when None.
        anatomy: a folder named for this run, which goes first: the stated path is looked for in it, without leading
            variables, and then its bare name.

    Raises:
        AnatomyError: nothing there, or a variable that is not set.
    """
    kind = "file or folder" if folders else "file"
    if anatomy is not None:
        inside = _VARIABLE.sub("", stated).lstrip("/\\") if not Path(stated).is_absolute() else Path(stated).name
        tried = list(dict.fromkeys([anatomy / inside, anatomy / Path(inside).name]))
        found = next((path for path in tried if path.is_file() or (folders and path.is_dir())), None)
        if found is None:
            raise AnatomyError.of(field, f"a {kind} in the anatomy folder", f"none at {' or '.join(map(str, tried))}")
        return found
    unset = [name for name in _VARIABLE.findall(stated) if not os.environ.get(name)]
    if unset:
        got = f"{stated}, where {', '.join(unset)} is not set"
        raise AnatomyError.of(field, "a path, or an anatomy folder named for this run", got)
    path = Path(_VARIABLE.sub(lambda match: os.environ[match.group(1)], stated)).expanduser()
    path = path if path.is_absolute() else (folder or Path.cwd()) / path
    if not (path.is_file() or (folders and path.is_dir())):
        raise AnatomyError.of(field, f"a {kind}", f"{path}, which does not exist")
    return path
