"""Files from somebody else: nothing that leads elsewhere is followed, and nothing is loaded or run."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from gengap.errors import UserError
from gengap.files import file_digest, lineage, storage


def external_link(file):
    file["x"] = h5py.ExternalLink("/etc/hostname", "/x")


def link_below(file):
    file["a/b/x"] = h5py.ExternalLink("secret.h5", "/x")


def soft_link(file):
    file["secret"] = np.arange(3.0)
    file["x"] = h5py.SoftLink("/secret")


def virtual(file):
    made = h5py.VirtualLayout((4,), "f8")
    made[:] = h5py.VirtualSource("secret.h5", "x", (4,))
    file.create_virtual_dataset("x", made)


def external_numbers(file):
    file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def plugin_filter(file):
    file.create_dataset("x", data=np.zeros(10), compression="lzf")


def empty_giant(file):
    file.create_dataset("x", (10**13,), "f8", chunks=(1000,))


def packed_giant(file):
    made = file.create_dataset("x", (10**8,), "f8", chunks=(10**6,), compression="gzip")
    made[: 10**6] = 0


@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        (external_link, "'x' is a link to somewhere else"),
        (link_below, "'a/b/x' is a link to somewhere else"),
        (soft_link, "'x' is a link to somewhere else"),
        (virtual, "the numbers of 'x' lie in another file"),
        (external_numbers, "the numbers of 'x' lie in another file"),
        (plugin_filter, "'x' is packed by filter 32000, a plugin"),
        (empty_giant, "'x' is more than 1,000 times as large as the file"),
        (packed_giant, "'x' is more than 1,000 times as large as the file"),
    ],
)
@pytest.mark.parametrize("with_digest", [True, False])
def test_what_leads_elsewhere_is_refused(tmp_path, hostile, words, with_digest):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", userblock_size=512 if with_digest else 0) as file:
        file.attrs.update(kind="probe", format=1, provenance="{}")
        hostile(file)
    if with_digest:
        file_digest.write(path)
    with pytest.raises(UserError, match=words) as caught, storage.reading(path, "probe"):
        pass
    assert str(path) in str(caught.value)
    with pytest.raises(UserError, match=words):  # `gengap explain`
        lineage.read(path.relative_to(tmp_path), tmp_path)


def test_a_name_is_shown_without_its_control_characters(tmp_path):
    with h5py.File(tmp_path / "file.h5", "w", userblock_size=512) as file:
        file["\x1b[31m\n"] = h5py.SoftLink("/x")
    file_digest.write(tmp_path / "file.h5")
    with pytest.raises(UserError) as caught, storage.reading(tmp_path / "file.h5", "probe"):
        pass
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


PLUGIN = """
#include <stdlib.h>
#include <stdio.h>
__attribute__((constructor)) static void loaded(void) { fclose(fopen("LOADED", "w")); }
int H5PLget_plugin_type(void) { return 0; }
const void *H5PLget_plugin_info(void) { return NULL; }
"""
READ = """
import sys
{before}
import h5py
try:
    with h5py.File("file.h5") as file:
        file["x"][()]
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("guarded", [False, True])
def test_no_plugin_is_loaded(tmp_path, guarded):
    """With nothing of ours HDF5 does load it, which shows that the plugin would work."""
    (tmp_path / "plugin.c").write_text(PLUGIN)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "libplugin.so", "plugin.c"], cwd=tmp_path, check=True)
    with h5py.File(tmp_path / "file.h5", "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((4,))
        made.set_filter(333, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((4,))
        made = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, made)
        made.write_direct_chunk((0,), np.arange(4.0).tobytes())
    program = READ.format(before="import gengap.files.hdf5" if guarded else "")
    environment = os.environ | {"HDF5_PLUGIN_PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "LOADED").exists() != guarded
