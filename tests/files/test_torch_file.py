"""Weights of `torch.save` in both forms, read without unpickling; what is hostile or damaged is refused."""

import hashlib
import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch_files import archive, before_archives, group, integer, name, small_vgg, state, storage, tensor, text

from gengap.errors import UserError
from gengap.files.torch_file import check_name, read_tensors

SIX = np.arange(6, dtype="<f4")
FORMS = {
    "archive": lambda pickled: archive(pickled, {"0": SIX.tobytes()}),
    "pickles": lambda pickled: before_archives(pickled, {"0": (6, SIX.tobytes())}),
}
PARTS = {"archive": b"", "pickles": b"N"}  # what each form says of the part of a storage: nothing, or none
NO_HOOKS = name("collections", "OrderedDict") + b")R"
PYTHON_2 = name("collections", "OrderedDict") + group(b"](](U\x06weight" + tensor() + b"ee") + b"R"


def written(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("letter", ["A", "D"])
def test_tensors_are_those_of_the_network(tmp_path, zipped, letter):
    weights = small_vgg(letter).state_dict()
    path = written(tmp_path / "vgg.pth", weights, _use_new_zipfile_serialization=zipped)
    found = read_tensors(path)
    assert list(found) == list(weights)
    for key, values in weights.items():
        np.testing.assert_array_equal(found[key], values.numpy())
    only = read_tensors(path, lambda key: key.endswith("running_mean"))
    assert list(only) == [key for key in weights if key.endswith("running_mean")]


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_that_share_numbers_and_other_types_are_read(tmp_path, zipped):
    whole = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    saved = {
        "whole": whole,
        "row": whole[1],
        "half": whole.half(),
        "count": torch.tensor(7),
        "empty": torch.empty(0, 2),
    }
    found = read_tensors(written(tmp_path / "x.pth", saved, _use_new_zipfile_serialization=zipped))
    for key, values in saved.items():
        np.testing.assert_array_equal(found[key], values.numpy())
        assert found[key].dtype == values.numpy().dtype


def parameter(one):
    """As PyTorch 0.2 wrote a parameter."""
    return name("torch.nn.parameter", "Parameter") + group(one) + b"\x81" + group(b"\x88", b"\x89", NO_HOOKS) + b"b"


def rebuilt(one):
    """As PyTorch 0.4 and later write a parameter."""
    return name("torch._utils", "_rebuild_parameter") + group(one, b"\x88", NO_HOOKS) + b"R"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrapped", [lambda one: one, parameter, rebuilt], ids=["tensor", "parameter", "rebuilt"])
def test_files_of_old_versions_are_read_as_pytorch_reads_them(tmp_path, form, wrapped):
    path = tmp_path / "old.pth"
    path.write_bytes(FORMS[form](state(weight=wrapped(tensor(part=PARTS[form])))))
    found = read_tensors(path)["weight"]
    assert found.tolist() == SIX.reshape(2, 3).tolist()
    assert found.tolist() == torch.load(path, weights_only=True)["weight"].tolist()


def test_a_dict_as_python_2_wrote_it_is_read(tmp_path):
    path = tmp_path / "old.pth"
    path.write_bytes(FORMS["pickles"](b"\x80\x02" + PYTHON_2 + b"."))
    assert read_tensors(path)["weight"].tolist() == SIX.reshape(2, 3).tolist()


class Call:
    def __init__(self, function, *arguments):
        self.told = function, arguments

    def __reduce__(self):
        return self.told


def hostile(canary):
    """Pickles that make a file when they are run."""
    command = f"touch {canary}"
    yield "os.system", pickle.dumps({"weight": Call(os.system, command)}, protocol=2)
    yield "eval", pickle.dumps({"weight": Call(eval, f"open({str(canary)!r}, 'w')")}, protocol=2)
    yield "as a state", state(weight=tensor() + name("os", "system") + group(text(command)) + b"Rb")
    yield "as a key", b"\x80\x02}(" + name("os", "system") + group(text(command)) + b"R" + tensor() + b"u."
    yield "beside tensors", state(weight=tensor(), other=name("posix", "system") + group(text(command)) + b"R")
    yield "as an object", b"(" + text(command) + b"ios\nsystem\n."
    yield "protocol 4", pickle.dumps(Call(os.system, command), protocol=4)
    yield "by its number", state(weight=b"\x82\x01" + group(text(command)) + b"R")
    yield "torch itself", state(weight=name("torch", "load") + group(text(str(canary))) + b"R")
    yield "a known name with an attribute", state(weight=name("torch._utils", "_rebuild_tensor.__globals__"))


@pytest.mark.parametrize("place", range(10))
@pytest.mark.parametrize("form", FORMS)
def test_nothing_in_a_file_is_run(tmp_path, form, place):
    canary = tmp_path / "canary"
    _, pickled = list(hostile(canary))[place]
    path = tmp_path / "hostile.pth"
    path.write_bytes(FORMS[form](pickled))
    with pytest.raises(UserError, match=r"hostile\.pth: is not read: its pickle (imports|uses|sets)"):
        read_tensors(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("pickled", "words"),
    [
        (state(weight=tensor(shape=(2, 4))), "numbers are not in order"),
        (state(weight=tensor(shape=(3, 2), strides=(1, 3))), "numbers are not in order"),
        (state(weight=tensor(shape=(3, 3))), "larger than its numbers"),
        (state(weight=tensor(offset=1)), "larger than its numbers"),
        (state(weight=tensor(offset=-1)), "no whole numbers from 0"),
        (state(weight=tensor(shape=(-2, 3))), "no whole numbers from 0"),
        (state(weight=tensor(strides=(3,))), "no whole numbers from 0"),
        (state(weight=tensor(kind="BFloat16Storage")), r"imports torch\.BFloat16Storage"),
        (state(weight=tensor(part=group(text("1"), integer(0), integer(3)))), "a view of another storage"),
        (state(weight=storage()), "does not hold a dict of tensors"),
        (state(), "does not hold a dict of tensors"),
        (state(weights=b"}" + b"(" + text("weight") + tensor() + b"u"), "does not hold a dict of tensors"),
        (b"\x80\x02" + tensor() + b".", "does not hold a dict of tensors"),
        (state(weight=text("0") + b"Q"), "refers to something outside"),
        (state(weight=name("collections", "OrderedDict") + group(integer(3)) + b"R"), "neither a dict nor a tensor"),
        (b"\x80\x02](" + text("weight") + tensor() + b"u.", "fills a list as if it were a dict"),
        (b"\x80\x02}(" + integer(0) + tensor() + b"u.", "keys are not text but int"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_dict_of_dense_tensors_is_refused(tmp_path, form, pickled, words):
    path = tmp_path / "x.pth"
    path.write_bytes(FORMS[form](pickled))
    with pytest.raises(UserError, match=rf"x\.pth: is not read: .*{words}.*\. Use a file of dense tensors alone\.$"):
        read_tensors(path)


def test_a_key_that_takes_forever_to_look_up_is_refused(tmp_path):
    """A tuple of twice itself, sixty times over, has few opcodes and 2^60 members."""
    doubled = b")" + b"".join(b"q\x01h\x01\x86" for _ in range(60))
    path = tmp_path / "x.pth"
    path.write_bytes(FORMS["archive"](b"\x80\x02}(" + doubled + tensor() + b"u."))
    with pytest.raises(UserError, match="keys are not text but tuple"):
        read_tensors(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_cut_short_is_refused(tmp_path, zipped):
    path = written(tmp_path / "x.pth", small_vgg().state_dict(), _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in (0, 1, 3, 4, 30, 200, 2_000, len(whole) // 2, len(whole) - 10_000, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"x\.pth: is (damaged, cut short or|not read)"):
            read_tensors(path)


def test_a_flipped_bit_of_an_archive_is_refused(tmp_path):
    path = written(tmp_path / "x.pth", small_vgg().state_dict())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        largest = max(file.infolist(), key=lambda one: one.file_size)
    content[largest.header_offset + 500] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged, cut short .*CRC"):
        read_tensors(path)


def test_an_archive_with_a_password_is_refused(tmp_path):
    content = archive(state(weight=tensor()), {"0": SIX.tobytes()})
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # flags of a member, at its place and in the list
        parts = content.split(mark)
        content = mark.join([parts[0], *(one[: place - 4] + b"\x01" + one[place - 3 :] for one in parts[1:])])
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged, cut short .*encrypted"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(state(weight=tensor()), {"0": SIX.tobytes()[:-4]}), "has not as many numbers"),
        (archive(state(weight=tensor()), {"1": SIX.tobytes()}), "lacks weights/data/0"),
        (archive(state(weight=tensor()), {"0": bytes(24)}, compression=zipfile.ZIP_DEFLATED), "is compressed"),
        (archive(state(weight=tensor()), {"0": bytes(24), "../byteorder": b"big"}, top="w"), None),
        (archive(bytes(17 * 2**20)), "its pickle is larger than"),
        (before_archives(state(weight=tensor()), {"0": (5, SIX.tobytes())}), "has not as many numbers"),
        (before_archives(state(weight=tensor()), {"1": (6, SIX.tobytes())}), "lists numbers of which no tensor"),
        (before_archives(state(weight=tensor())), "lacks the numbers of weight"),
        (before_archives(state(weight=tensor()), machine={"little_endian": False}), "not little-endian"),
        (pickle.dumps({"weight": [1.0]}, protocol=2), "uses BINFLOAT"),
        (b"PK\x03\x04", "is damaged, cut short or no file of torch.save"),
        (b"no file of weights", "is damaged, cut short or no file of torch.save"),
    ],
)
def test_numbers_that_are_not_there_are_told(tmp_path, content, words):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    if words is None:  # a member that nothing reads
        assert read_tensors(path)["weight"].tolist() == [[0] * 3] * 2
        return
    with pytest.raises(UserError, match=words):
        read_tensors(path)


def test_the_name_of_a_file_is_compared_with_its_digest(tmp_path):
    torch.save(OrderedDict(weight=torch.ones(2)), tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    right = tmp_path / f"vgg-{digest[:8]}.pth"
    right.write_bytes(content)
    check_name(right)
    for named in ("vgg-00000000.pth", "vgg.pth", f"vgg-{digest[:7]}.pth", "vgg-.pth"):
        (tmp_path / named).write_bytes(content)
        with pytest.raises(UserError, match=rf"{named}: is damaged, .* SHA-256 begins with {digest[:8]}, and by its"):
            check_name(tmp_path / named)
    right.write_bytes(content[:-1])
    with pytest.raises(UserError, match="is damaged, cut short or another file"):
        check_name(right)
    with pytest.raises(UserError, match=r"vgg-11111111\.pth: cannot be read \(No such file"):
        check_name(tmp_path / "vgg-11111111.pth")
