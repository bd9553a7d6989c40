import gzip
import os
import socket
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.collect.inputs.input_files import (
    InputFile,
    UnreadableError,
    find_files,
    printable,
    read_head,
    read_whole,
    to_utf8,
)


def names(found):
    return [file.path.name for file in found.files]


def test_folders_are_walked_in_order_and_hidden_things_left_out(tmp_path):
    for name in ("b/2.json", "b/1.json", "a/3.json", ".git/config", "b/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_files([str(tmp_path)])
    assert names(found) == ["3.json", "1.json", "2.json"]
    assert not any(file.given for file in found.files)


def test_order_and_repetition_of_arguments_do_not_matter(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    (tmp_path / "link").symlink_to("a")
    arguments = [str(tmp_path / name) for name in ("b", "a", "link", "a")]
    assert find_files(arguments) == find_files(arguments[::-1])
    assert names(find_files(arguments)) == ["a", "b"]


def test_a_metric_may_be_named(tmp_path, monkeypatch):
    file = tmp_path / "answer.json"
    file.write_text("x")
    (found,) = find_files([f"DCGM_FI_DEV_GPU_UTIL={file}"]).files
    assert (found.metric, found.path) == ("DCGM_FI_DEV_GPU_UTIL", file)
    odd = tmp_path / "a=b"
    odd.write_text("x")
    monkeypatch.chdir(tmp_path)
    (found,) = find_files(["a=b"]).files
    assert (found.metric, found.path.name) == (None, "a=b")
    assert find_files([f"up={tmp_path}"]).unreadable[0][1] == "METRIC=FILE takes a file, not a folder"


def test_links_that_lead_round_and_round(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "file").write_text("x")
    assert names(find_files([str(tmp_path)])) == ["file"]
    assert find_files([str(tmp_path / "self")]).unreadable


def test_what_is_no_file_is_named(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)
        server.bind("socket")
        arguments = [str(tmp_path / "pipe"), str(tmp_path / "empty"), str(tmp_path / "socket"), "/dev/zero", "missing"]
        found = find_files(arguments)
    assert found.files == ()
    reasons = dict(found.unreadable)
    assert "pipe or a device" in reasons["/dev/zero"]
    assert "pipe or a device" in reasons[str(tmp_path / "pipe")]
    assert reasons[str(tmp_path / "empty")] == "the folder holds no files"
    assert reasons["missing"] == "No such file or directory"
    assert len(reasons) == 5
    assert names(find_files([str(tmp_path)])) == []


def test_a_file_that_becomes_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError, match="pipe"):
        read_whole(InputFile(name="pipe", path=tmp_path / "pipe"))


def test_folders_too_deep(tmp_path):
    deep = tmp_path.joinpath(*"abcdefghijklmnopqrst")
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    assert "nested more than" in find_files([str(tmp_path)]).unreadable[0][1]


def test_gzip_is_unpacked_whatever_the_name(tmp_path):
    file = InputFile(name="x", path=tmp_path / "plain.json")
    file.path.write_bytes(gzip.compress(b"hello"))
    assert read_whole(file) == read_head(file) == b"hello"


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: packed[:12] + b"\x00" + packed[13:]])
def test_damaged_gzip_is_named(tmp_path, damage):
    file = InputFile(name="x", path=tmp_path / "x.gz")
    file.path.write_bytes(damage(gzip.compress(os.urandom(1000))))
    with pytest.raises(UnreadableError, match="gzip"):
        read_whole(file)


def test_gzip_bombs_are_refused(tmp_path):
    file = InputFile(name="x", path=tmp_path / "x.gz")
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with file.path.open("wb") as stream:
        for _ in range(80):
            stream.write(packer.compress(bytes(1 << 20)))
        stream.write(packer.flush())
    with pytest.raises(UnreadableError, match="300 times"):
        read_whole(file)
    assert len(read_head(file)) < 1 << 20


def test_unreadable_by_rights(tmp_path):
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UnreadableError, match="Permission"):
        read_whole(InputFile(name="x", path=file))


def test_utf16_becomes_utf8():
    assert to_utf8("\ufeffäh".encode("utf-16-le")) == "äh".encode()
    assert to_utf8("\ufeffäh".encode()) == "äh".encode()
    assert to_utf8(b"\xff\xfeodd").decode()


@given(st.text(max_size=40))
def test_names_are_printable(name):
    shown = printable(name.replace("\x00", ""))
    assert shown.isprintable()
    shown.encode()


def test_names_that_are_no_unicode():
    assert printable(os.fsdecode(b"a\xff\x1b[31m")) == "a\\xff\\x1b[31m"
