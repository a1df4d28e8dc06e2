"""``file``: secrets as Docker and Kubernetes mount them."""

from __future__ import annotations

import errno
import os

import pytest

from llmgate.spec import SecretNotFoundError, SecretRef, StageContext
from llmgate.stages.secrets.file import File, FileConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport


async def opened(base, clock=None, **config):
    def nothing(_):
        raise AssertionError

    stage = File(FileConfig(**config))
    await stage.open(
        StageContext(
            id="secrets.file",
            clock=clock or FakeClock(),
            transport=ScriptedTransport(),
            fetch_secret=nothing,
            state=nothing,
            directory=base,
        )
    )
    return stage


def denying(path):
    """``os.open`` as it is for somebody who may not read that file."""
    really = os.open

    def open_unless_denied(name, *arguments, **options):
        if os.fspath(name) == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(name, *arguments, **options)

    return open_unless_denied


async def value(stage, path):
    return (await stage.fetch(SecretRef("file", path))).reveal()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"sk-1", "sk-1"),
        (b"sk-1\n", "sk-1"),
        (b"sk-1\r\n", "sk-1"),
        (b"sk-1\n\n", "sk-1\n"),
        (b" sk-1 ", " sk-1 "),
        (b"sk-1\r", "sk-1\r"),
        (b"\xef\xbb\xbfsk-1", "sk-1"),
    ],
)
async def test_one_line_end_is_not_part_of_the_secret(tmp_path, content, expected):
    (tmp_path / "key").write_bytes(content)
    assert await value(await opened(tmp_path), "key") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "not UTF-8"), (b"x" * 101, "larger than 100 bytes")],
)
async def test_what_is_no_secret_is_refused_with_the_reference(tmp_path, content, message):
    (tmp_path / "key").write_bytes(content)
    stage = await opened(tmp_path, max_bytes=100)
    with pytest.raises(SecretNotFoundError, match=message) as caught:
        await stage.fetch(SecretRef("file", "key"))
    assert str(caught.value).startswith("file:key: ")


async def test_a_missing_file_is_named_with_the_remedy(tmp_path):
    stage = await opened(tmp_path, directory="secrets")
    with pytest.raises(SecretNotFoundError, match=rf"there is no file {tmp_path}/secrets/key; create it"):
        await stage.fetch(SecretRef("file", "key"))


async def test_a_swapped_link_is_noticed(tmp_path):
    """Kubernetes mounts ``key -> ..data/key`` and ``..data -> ..<time>``, and turns ``..data`` to a new directory."""
    clock = FakeClock()
    mounted = tmp_path / "mounted"
    for name, content in (("..1", "old"), ("..2", "new")):
        (mounted / name).mkdir(parents=True)
        (mounted / name / "key").write_text(content)
        os.utime(mounted / name / "key", (1, 1))
    (mounted / "..data").symlink_to("..1")
    (mounted / "key").symlink_to("..data/key")
    stage = await opened(tmp_path, clock, directory="mounted")
    assert await value(stage, "key") == "old"
    (mounted / "..tmp").symlink_to("..2")
    (mounted / "..tmp").replace(mounted / "..data")
    assert await value(stage, "key") == "old", "not looked at again within the second"
    clock.advance(1)
    assert await value(stage, "key") == "new"


@pytest.mark.parametrize(
    "path", ["../outside", "sub/../../outside", "{tmp}/outside", "link", "linked/outside", ".", ""]
)
async def test_nothing_outside_the_directory_is_read(tmp_path, path):
    (tmp_path / "outside").write_text("canary")
    mounted = tmp_path / "mounted"
    (mounted / "sub").mkdir(parents=True)
    (mounted / "link").symlink_to(tmp_path / "outside")
    (mounted / "linked").symlink_to(tmp_path)
    stage = await opened(tmp_path, directory="mounted")
    with pytest.raises(SecretNotFoundError, match="leads outside"):
        await stage.fetch(SecretRef("file", path.replace("{tmp}", str(tmp_path))))


async def test_files_in_folders_of_the_directory_are_read(tmp_path):
    (tmp_path / "mounted" / "sub").mkdir(parents=True)
    (tmp_path / "mounted" / "sub" / "key").write_text("sk-1")
    stage = await opened(tmp_path, directory="mounted")
    assert await value(stage, "sub/key") == "sk-1"
    assert await value(stage, f"{tmp_path}/mounted/sub/key") == "sk-1"


async def test_without_a_directory_a_reference_is_a_path(tmp_path):
    (tmp_path / "key").write_text("sk-1")
    stage = await opened(tmp_path / "elsewhere")
    assert await value(stage, f"{tmp_path}/key") == "sk-1"


async def test_links_in_a_circle_lead_nowhere(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    stage = await opened(tmp_path, directory=".")
    with pytest.raises(SecretNotFoundError):
        await stage.fetch(SecretRef("file", "a"))


async def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("sk-1")
    (tmp_path / "key").chmod(0)
    if os.geteuid() == 0:  # who may read everything has to be told that this may not be read
        monkeypatch.setattr(os, "open", denying(tmp_path / "key"))
    with pytest.raises(SecretNotFoundError, match="make it readable"):
        await (await opened(tmp_path)).fetch(SecretRef("file", "key"))


async def test_the_version_is_the_time_of_the_file(tmp_path):
    (tmp_path / "key").write_text("sk-1")
    secret = await (await opened(tmp_path)).fetch(SecretRef("file", "key"))
    assert secret.version == str((tmp_path / "key").stat().st_mtime_ns)


def test_the_bound_is_positive():
    with pytest.raises(ValueError, match="max-bytes must be above 0, not 0"):
        FileConfig(max_bytes=0)


async def test_a_file_that_is_being_written_is_not_yet_empty(tmp_path):
    clock = FakeClock()
    (tmp_path / "key").write_text("old")
    stage = await opened(tmp_path, clock)
    assert await value(stage, "key") == "old"
    (tmp_path / "key").write_text("")
    clock.advance(1)
    assert await value(stage, "key") == "old"
    (tmp_path / "key").write_text("new")
    clock.advance(1)
    assert await value(stage, "key") == "new"
    (tmp_path / "key").write_text("")
    clock.advance(1)
    assert await value(stage, "key") == "new"
    clock.advance(1)
    with pytest.raises(SecretNotFoundError, match="is empty"):
        await value(stage, "key")
