"""Files as `torch.save` writes them, honest and hostile, and a small network of torchvision."""

import hashlib
import io
import pickle
import zipfile

import torch
from torch import nn
from torchvision.models import vgg

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_MACHINE = {"protocol_version": _VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def small_vgg(letter="A", seed=0):
    """torchvision's VGG with BatchNorm (A: VGG-11, D: VGG-16) of a sixteenth of the channels, with random weights."""
    torch.manual_seed(seed)
    plan = [step if step == "M" else step // 16 for step in vgg.cfgs[letter]]
    network = nn.Sequential()
    network.add_module("features", vgg.make_layers(plan, batch_norm=True))
    network.add_module("classifier", nn.Linear(32, 3))
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


def stored_vgg(root, letter="A"):
    """A small VGG, and its file in a data root, whose name ends with its digest as torchvision's do."""
    network, content = small_vgg(letter), io.BytesIO()
    torch.save(network.state_dict(), content)
    name = f"torchvision/vgg-{hashlib.sha256(content.getvalue()).hexdigest()[:8]}.pth"
    (root / "torchvision").mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content.getvalue())
    return network, name


def archive(pickled, numbers=(), top="weights", compression=zipfile.ZIP_STORED):
    """The zip archive of a pickle and its storages, as bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        file.writestr(f"{top}/data.pkl", pickled)
        file.writestr(f"{top}/version", b"3\n")
        for key, storage in dict(numbers).items():
            file.writestr(f"{top}/data/{key}", storage)
    return content.getvalue()


def before_archives(pickled, numbers=(), machine=None):
    """A pickle and its storages (key to count and bytes) in the form before the zip archive, as bytes."""
    numbers = dict(numbers)
    heads = [pickle.dumps(one, protocol=2) for one in (_MAGIC, _VERSION, _MACHINE | (machine or {}))]
    keys = pickle.dumps(sorted(numbers), protocol=2)
    stored = [count.to_bytes(8, "little") + storage for _, (count, storage) in sorted(numbers.items())]
    return b"".join([*heads, pickled, keys, *stored])


def name(module, attribute):
    """The opcode that imports a name."""
    return f"c{module}\n{attribute}\n".encode()


def text(word):
    """The opcode of a text."""
    return b"X" + len(word.encode()).to_bytes(4, "little") + word.encode()


def integer(value):
    """The opcode of a whole number."""
    return b"J" + value.to_bytes(4, "little", signed=True)


def group(*items):
    """The opcodes of a tuple."""
    return b"(" + b"".join(items) + b"t"


def storage(key="0", count=6, kind="FloatStorage", part=b""):
    """The opcodes of a storage."""
    return group(text("storage"), name("torch", kind), text(key), text("cpu"), integer(count), part) + b"Q"


def tensor(shape=(2, 3), strides=(3, 1), offset=0, **of_storage):
    """The opcodes of a tensor as PyTorch 0.2 wrote it."""
    sizes = [group(*map(integer, one)) for one in (shape, strides)]
    arguments = group(storage(**of_storage), integer(offset), *sizes)
    return name("torch._utils", "_rebuild_tensor") + arguments + b"R"


def state(**tensors):
    """The pickle of a dict."""
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in tensors.items()) + b"u."
