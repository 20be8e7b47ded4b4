"""A published directory is whole or absent, whatever happens to its writer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from porefield.meshes import ResourceError
from porefield.workers import OutputExistsError
from porefield.workers.publish import published_directory, recover


def fill(directory: Path, text: str = "new") -> None:
    (directory / "sub").mkdir()
    (directory / "sub" / "part").write_text(text)
    (directory / "whole").write_text(text)


def content(directory: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in directory.rglob("*") if p.is_file()}


def publish_and_raise(target: Path, error: BaseException, *, overwrite: bool = False) -> None:
    with published_directory(target, overwrite=overwrite) as directory:
        fill(directory)
        raise error


def run_and_die(target: Path, code: str, overwrite: bool = False) -> subprocess.CompletedProcess[str]:
    """Publish in another process, with `code` inside of the block."""
    script = f"""
    import os, resource, signal, sys, time
    from pathlib import Path
    from porefield.workers import publish
    with publish.published_directory({str(target)!r}, overwrite={overwrite}) as directory:
        (directory / "whole").write_text("half")
        {code}
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_directory_appears_at_the_end_with_all_it_holds(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with published_directory(target) as directory:
        fill(directory)
        assert not target.exists()
    assert content(target) == {"part": "new", "whole": "new"}
    assert os.listdir(target.parent) == ["out"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        publish_and_raise(tmp_path / "out", error)
    assert os.listdir(tmp_path) == []


def test_what_exists_is_kept_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with published_directory(target) as directory:
        fill(directory, "old")
    with pytest.raises(OutputExistsError, match="out: expected a new or empty directory"), published_directory(target):
        pytest.fail("the block must not run")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputExistsError, match="got the file"), published_directory(tmp_path / "file", overwrite=True):
        pytest.fail("the block must not run")
    assert content(target) == {"part": "old", "whole": "old"}


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with published_directory(tmp_path / "out") as directory:
        fill(directory)
    assert content(tmp_path / "out") == {"part": "new", "whole": "new"}


def test_overwrite_replaces_all_at_the_end_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(ValueError, match="stop"):
        publish_and_raise(target, ValueError("stop"), overwrite=True)
    assert content(target) == {"old": "old"}
    with published_directory(target, overwrite=True) as directory:
        fill(directory)
        assert content(target) == {"old": "old"}
    assert content(target) == {"part": "new", "whole": "new"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_that_was_never_ours_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years of work")
    refused = published_directory(tmp_path / "thesis", overwrite=True, replaceable=lambda d: False)
    with pytest.raises(OutputExistsError, match="holds files that no run has written"), refused:
        pytest.fail("the block must not run")
    assert content(tmp_path / "thesis") == {"chapter": "years of work"}


def test_the_old_content_comes_back_when_the_second_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    rename = os.rename

    def failing(source: Path, destination: Path) -> None:
        if ".partial-" in str(source):
            raise OSError(errno.EIO, "input/output error")
        rename(source, destination)

    monkeypatch.setattr("porefield.workers.publish.os.rename", failing)
    with pytest.raises(OSError, match="input/output"), published_directory(target, overwrite=True) as directory:
        fill(directory)
    assert content(target) == {"old": "old"}
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_resource_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(ResourceError, match=r"out: expected room to write .*nothing was written"):
        publish_and_raise(tmp_path / "out", OSError(number, os.strerror(number)))
    assert os.listdir(tmp_path) == []


def test_other_system_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), published_directory(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "no")


def test_a_real_file_size_limit(tmp_path: Path) -> None:
    code = (
        """resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); (directory / "big").write_bytes(bytes(100_000))"""
    )
    done = run_and_die(tmp_path / "out", code)
    assert "ResourceError" in done.stderr
    assert "File too large" in done.stderr
    assert os.listdir(tmp_path) == []


def test_what_a_dead_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    assert run_and_die(tmp_path / "out", "os._exit(9)").returncode == 9
    assert run_and_die(tmp_path / "out", "os.kill(os.getpid(), signal.SIGKILL)").returncode == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)  # the second has removed what the first left
    assert left.startswith(".out.partial-")
    with published_directory(tmp_path / "out") as directory:
        fill(directory)
    assert os.listdir(tmp_path) == ["out"]


def test_a_replacement_that_died_between_its_renames_is_undone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    code = """
        rename = os.rename
        def dying(a, b):
            os._exit(9) if ".partial-" in str(a) else rename(a, b)
        publish.os.rename = dying
    """.strip()
    assert run_and_die(target, code, overwrite=True).returncode == 9
    assert not target.exists()
    recover(target)
    assert content(target) == {"old": "old"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    with published_directory(tmp_path / "out") as first:
        fill(first, "first")
        recover(tmp_path / "out")
        assert first.exists()
        with published_directory(tmp_path / "out", overwrite=True) as second:
            fill(second, "second")
        (first / "whole").unlink()
        (tmp_path / "out" / "whole").unlink()
        with pytest.raises(OutputExistsError), published_directory(tmp_path / "out"):
            pytest.fail("the block must not run")
        for path in (tmp_path / "out" / "sub" / "part", tmp_path / "out" / "sub"):
            path.unlink() if path.is_file() else path.rmdir()
    assert content(tmp_path / "out") == {"part": "first"}


def test_neighbours_with_similar_names_are_left_alone(tmp_path: Path) -> None:
    for name in (".out.partial", ".out2.partial-00", ".out.notes", "out.partial-0"):
        (tmp_path / name).mkdir()
    recover(tmp_path / "out")
    assert len(os.listdir(tmp_path)) == 4
    (tmp_path / ".o[u]t.partial-00").mkdir()
    recover(tmp_path / "o[u]t")
    assert len(os.listdir(tmp_path)) == 4


def test_threads_that_still_write_do_not_leave_remains(tmp_path: Path) -> None:
    stop = time.monotonic() + 0.3

    def write_on(directory: Path) -> None:
        while time.monotonic() < stop:
            (directory / "chunk").mkdir(parents=True, exist_ok=True)
            (directory / "chunk" / f"{time.monotonic_ns()}").touch()

    def interrupted() -> None:
        with published_directory(tmp_path / "out") as directory:
            thread = threading.Thread(target=lambda: _quietly(write_on, directory))
            thread.start()
            threads.append(thread)
            time.sleep(0.05)
            raise KeyboardInterrupt

    threads: list[threading.Thread] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    threads[0].join()
    # a write that comes after the removal may make the folder again; it is not locked, and so goes with the next run
    recover(tmp_path / "out")
    assert os.listdir(tmp_path) == []


def _quietly(write, directory: Path) -> None:
    while True:
        try:
            write(directory)
        except FileNotFoundError:
            continue
        return


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with published_directory(tmp_path / "link") as directory:
        fill(directory)
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == {"part": "new", "whole": "new"}
