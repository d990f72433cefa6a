"""Archives of weights: one file comes out of them, into a folder of its own, and nothing else happens."""

import gzip
import io
import tarfile
import zipfile

import h5py
import pytest
from hostile import refused

from keras_inception import weights
from keras_inception.weights import archives, readers


@pytest.mark.parametrize("name", ["../outside.h5", "/outside.h5", "a/../../outside.h5", "..\\outside.h5", "C:/x.h5"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_write_nowhere_else(model, own, tmp_path, kind, name):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    path = folder / f"model.{kind}"
    content = own["h5"].read_bytes()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    refused(model, path, "plain names")
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [path.name]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_in_archives_are_not_made(model, tmp_path, kind):
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("model.h5")
        member.type, member.linkname = kind, "/etc/hostname"
        archive.addfile(member)
    refused(model, path, "plain files")


def test_archives_hold_one_file_and_no_bomb(model, own, tmp_path):
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(own["h5"], "a.h5")
        archive.write(own["h5"], "b.h5")
    refused(model, path, "exactly one weights file")
    path = tmp_path / "bomb.tar"
    member = tarfile.TarInfo("model.h5")
    member.size = 2**40
    path.write_bytes(member.tobuf() + b"\0" * 1024)
    refused(model, path, "unpacks to at most 4 GiB")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_claims_a_gigabyte_is_not_read(model, tmp_path, kind):
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 2**30
    with gzip.open(tmp_path / "model.tar.gz", "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**21))  # what it claims need not even be there
    refused(model, tmp_path / "model.tar.gz", "header in an archive of weights has at most 1 MiB")


def test_an_archive_has_no_end_of_members(model, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 20)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        for index in range(21):
            archive.addfile(tarfile.TarInfo(f"{index}.txt"))
    refused(model, tmp_path / "model.tar.gz", "at most 20 members")


def test_a_flipped_bit_of_a_compressed_archive_is_found(model, own, tmp_path):
    path = tmp_path / "model.tar.gz"
    with readers.open_weights(own["h5"]) as file:
        values = {name: tensor.read() for name, tensor in file.tensors.items()}
    with h5py.File(tmp_path / "plain.h5", "w") as file:  # without a hash of ours
        for name, value in values.items():
            file.create_dataset(name, data=value)
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:  # as random numbers are stored at any level
        archive.add(tmp_path / "plain.h5", "model.h5")
    weights.load_weights(model, path)
    content = bytearray(path.read_bytes())
    content[content.index(values["conv1_conv/kernel"].tobytes())] ^= 1
    path.write_bytes(content)
    refused(model, path, "is damaged: CRC check failed")


def test_a_zip_directory_of_another_age_is_refused(model, own, tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(own["h5"], "model.h5")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 0xFF  # the version that reading it needs
    path.write_bytes(content)
    refused(model, path, "is damaged: zip file version 25.5")


def test_a_zipped_and_a_tarred_file_load(model, own, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(own["h5"], "folder/model.h5")
    weights.load_weights(model, tmp_path / "model.zip")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(own["safetensors"], "./model.safetensors")
    weights.load_weights(model, tmp_path / "model.tar.gz")
