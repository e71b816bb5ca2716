"""`gengap status` tells finished, failed and interrupted jobs apart, as real Snakemake leaves them."""

from base64 import urlsafe_b64encode

from clones import call

from gengap import layout

DATA = "gaussian_image_size=8_n_train=400_n_test=200"


def test_what_failed_is_named_with_the_reason(workspace):
    told = call(workspace.folder, "gengap", "status", "tiny").splitlines()
    assert told == ["tiny: finished", "  networks  2 finished"]
    assert call(workspace.folder, "gengap", "status").splitlines() == told  # config.yaml names this study

    weights = workspace / str(layout.weights("tiny", "width=3_pack=0"))
    kept = weights.rename(weights.with_name("elsewhere"))
    told = call(workspace.folder, "gengap", "status", "tiny").splitlines()
    assert told[0] == "tiny: finished"
    assert told[1].startswith("  not there: results/tiny/packs/width=3_pack=0/weights.h5. Figures and tables are up")
    kept.rename(weights)

    (workspace / f"data/prepared/{DATA}.h5").write_bytes(b"no HDF5")
    status, _ = workspace.run("--cores", "1", "--forcerun", "label")
    assert status
    told = call(workspace.folder, "gengap", "status", "tiny")
    assert "jobs are done" in told
    (failed,) = [line for line in told.splitlines() if line.startswith("  failed")]
    assert failed.startswith(f"  failed    label {DATA} teacher_train_size=60")
    assert f"data/prepared/{DATA}.h5: is damaged" in failed
    assert f"data/logs/label/{DATA}/teacher_train_size=60" in failed

    # As a killed run leaves it.
    name = str(layout.weights("tiny", "width=2_pack=0"))
    (workspace / layout.INCOMPLETE / urlsafe_b64encode(name.encode()).decode()).write_text("{}")
    told = call(workspace.folder, "gengap", "status", "tiny")
    assert "  stopped   train width=2_pack=0: it was interrupted" in told
