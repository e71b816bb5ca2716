"""Headers of parts: plain data, read without importing, and every mistake told with file and key."""

import json
import subprocess
import sys

import pytest

from gengap import registry
from gengap.cli import main
from gengap.errors import UserError
from gengap.registry import headers, plugins
from gengap.studies import own_parts
from gengap.studies.settings import Cell, leaf_names
from gengap.studies.simulation import load_simulation
from gengap.studies.study import load_study

SCHEDULE = """\
import a_package_that_is_not_here

PART = {
    "summary": "Falls by steps.",
    "reads": ("factor",),
    "options": {
        "steps": {"type": "int", "default": 3, "ge": 1, "meaning": "How many."},
        "shape": {"choices": ("even", "odd"), "default": "even", "meaning": "Which."},
        "ends": {"type": "floats", "default": (0.5, 1.0), "meaning": "Where."},
        "until": {"type": "float", "default": None, "gt": 0, "meaning": "When; null: never."},
    },
}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty folder in which parts of one's own can be put; the registry looks for parts again."""
    tables = dict(registry.REGISTRY._tables)
    registry.REGISTRY._tables.clear()
    plugins.digest.cache_clear()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins/training/schedules").mkdir(parents=True)
    yield tmp_path
    registry.REGISTRY._tables.clear()
    registry.REGISTRY._tables.update(tables)
    plugins.digest.cache_clear()


@pytest.fixture
def steps(project):
    """A schedule of one's own with four options; it cannot be imported, and need not be."""
    (project / "plugins/training/schedules/steps.py").write_text(SCHEDULE)
    return project


def cell(**schedule):
    return Cell.model_validate({"schedule": {"name": "steps", **schedule}})


def test_options_have_defaults_and_are_part_of_the_identity_where_they_differ(steps):
    made = cell(steps=3, ends=[0.25], until=2.0)
    schedule = made.schedule
    assert (schedule.steps, schedule.shape, schedule.ends, schedule.until) == (3, "even", (0.25,), 2.0)
    identity = made.identity()
    assert len(identity.pop("schedule.code")) == 16
    plain = {key: value for key, value in identity.items() if key.startswith("schedule.")}
    assert plain == {"schedule.name": "steps", "schedule.ends": [0.25], "schedule.until": 2.0}
    assert Cell.from_identity(json.loads(json.dumps(made.identity()))) == made
    assert cell(steps=3) == cell()
    assert cell(steps=4) != cell()


LISTED = ("probe", "figure", "table")


@pytest.mark.parametrize("kind", registry.ROOMS)
def test_a_part_of_any_kind_declares_options(kind, project):
    """In one file: the study sets them, and mistakes are met before anything runs."""
    path = project / "plugins" / registry.ROOMS[kind] / "own.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        'PART = {\n"summary": "s",\n'
        '"options": {"share": {"type": "float", "default": 0.5, "le": 1, "meaning": "m"}},\n}\n'
    )

    def load(name, option):
        part = f"{{name: {name}, {option}}}"
        if kind == "simulation":
            (project / "own.yaml").write_text(f"title: t\nbase: {{simulation: {name}, {option}}}\n")
            return next(iter(load_simulation(project / "own.yaml").points.values()))
        lines = f"{kind}s: [{part}]" if kind in LISTED else f"base: {{{kind}: {part}}}"
        (project / "own.yaml").write_text(f"title: t\n{lines}\n")
        study = load_study(project / "own.yaml")
        return getattr(study, f"{kind}s")[0] if kind in LISTED else getattr(study.cells["base"], kind)

    assert load("own", "share: 0.25").share == 0.25
    assert load("own", "share: 0.5") == load("own", "")
    with pytest.raises(UserError, match=r"own\.yaml: .*share: 2\.0 is not allowed"):
        load("own", "share: 2.0")
    with pytest.raises(UserError, match=r"own\.yaml: .*shore: unknown key|unknown key 'shore'"):
        load("own", "shore: 1.0")
    other = next(name for name in registry.REGISTRY[kind] if name != "own")
    with pytest.raises(UserError, match=rf"own\.yaml: .*share: '{other}' does not use it"):
        load(other, "share: 0.25")


def test_the_shortest_name_that_is_free_stands_in_a_cells_name(steps):
    short = leaf_names()
    assert short["schedule.steps"] == "steps"
    assert short["schedule.factor"] == "factor"
    study = steps / "small.yaml"
    study.write_text("title: t\nbase: {schedule: steps}\ngrid: {schedule.steps: [1, 2], seed: [0]}\n")
    assert list(load_study(study).cells) == ["steps=1,seed=0", "steps=2,seed=0"]


def test_an_option_that_another_section_has_keeps_its_section_in_names(project):
    text = SCHEDULE.replace('"steps": {', '"width": {')
    (project / "plugins/training/schedules/steps.py").write_text(text)
    assert leaf_names()["model.width"] == "width"
    assert leaf_names()["schedule.width"] == "schedule_width"


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            "{name: steps, steps: 0}",
            "base.schedule.steps: 0 is not allowed: it must be a whole number from 1",
        ),
        ("{name: steps, steps: 1.5}", "base.schedule.steps: 1.5 is not allowed"),
        ("{name: steps, shape: round}", "base.schedule.shape: 'round' is not allowed: it must be 'even' or 'odd'"),
        ("{name: steps, until: 0}", "base.schedule.until: 0 is not allowed"),
        ("{name: steps, stepps: 2}", "base.schedule.stepps: unknown key. Did you mean 'steps'?"),
        ("{name: steps, patience: 2}", "schedule.patience: 'steps' does not use it. It uses: factor, steps, shape"),
        ("{name: cosine, steps: 2}", "schedule.steps: 'cosine' does not use it. It uses: final, warm_up"),
    ],
)
def test_a_wrong_option_is_told_with_file_key_and_what_is_allowed(steps, schedule, words):
    study = steps / "small.yaml"
    study.write_text(f"title: t\nbase: {{schedule: {schedule}}}\n")
    with pytest.raises(UserError) as error:
        load_study(study)
    assert words in str(error.value)
    assert str(error.value).startswith(str(study))


@pytest.mark.parametrize(
    ("room", "study", "words"),
    [
        (
            "training/schedules",
            "base: {schedule: odd}",
            "reads: 'width' is no setting that every schedule shares. Choose",
        ),
        (
            "models",
            "base: {model: odd}",
            "reads: 'wdth' is no setting that every model shares. Choose from: width, head",
        ),
        ("probes", "probes: [odd]", "reads: 'draws' is no setting that every probe shares. Choose from: epochs"),
    ],
)
def test_a_header_that_reads_what_its_kind_does_not_share_is_refused(project, room, study, words):
    (project / "plugins" / room).mkdir(parents=True, exist_ok=True)
    part = project / "plugins" / room / "odd.py"
    part.write_text(f'PART = {{"summary": "Odd.", "reads": ("{words.split(chr(39))[1]}",)}}\n')
    (project / "small.yaml").write_text(f"title: t\n{study}\n")
    with pytest.raises(UserError) as error:
        load_study(project / "small.yaml")
    assert words in str(error.value)
    assert str(error.value).startswith(f"plugins/{room}/odd.py: PART: ")


def test_the_editors_schema_has_the_options(steps, capsys):
    assert main.main(["schema"]) == 0
    schedule = json.loads(capsys.readouterr().out)["$defs"]["Schedule"]["anyOf"][1]
    assert schedule["properties"]["steps"]["minimum"] == 1
    assert schedule["additionalProperties"] is False


def test_a_module_that_is_missing_is_named_once_it_is_needed(steps):
    with pytest.raises(UserError, match="the schedule 'steps' needs the package 'a_package_that_is_not_here'"):
        registry.load("schedule", "steps")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n    pass\n", r"steps.py: line 2: is not valid Python: invalid syntax"),
        ("x = [\n", r"steps.py: line 2: is not valid Python: '\[' was never closed"),
        ("if True:\nx = 1\n", r"steps.py: line 3: is not valid Python: expected an indented block"),
        ("return 3\n", r"steps.py: line 2: is not valid Python: 'return' outside function"),
        ("x = '\0'\n", r"steps.py: .*is not valid Python: source code .*null bytes"),
    ],
)
def test_a_part_that_is_no_python_is_refused_before_it_is_needed(project, text, words):
    (project / "plugins/training/schedules/steps.py").write_text('PART = {"summary": "Steps."}\n' + text)
    with pytest.raises(UserError, match=words):
        registry.check("schedule", "steps")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("import torch, numpy.linalg\nfrom pathlib import Path\nfrom . import other\n", []),
        ("import torch, not_here.part\n", [(1, "not_here")]),
        ("import sys\nfrom not_here import this, that\n", [(2, "not_here")]),
        ("try:\n    import not_here\nexcept ImportError:\n    not_here = None\n", []),
        ("def f():\n    import not_here\n", []),
        ("import plugins.common\n", []),
    ],
)
def test_packages_that_are_not_here_are_found_without_an_import(project, text, missing):
    path = project / "plugins/part.py"
    path.write_text(text)
    assert list(plugins.missing_packages(path)) == missing


def test_a_study_warns_of_packages_that_its_parts_need(steps):
    (steps / "config/studies").mkdir(parents=True)
    (steps / "config/studies/s.yaml").write_text("title: t\nbase: {labels: teacher, schedule: steps}\n")
    warned = own_parts.lacking(load_study(steps / "config/studies/s.yaml"), "s.yaml")
    path = "plugins/training/schedules/steps.py"
    assert warned == [
        f"s.yaml: the schedule 'steps' imports 'a_package_that_is_not_here' ({path}, line 1), which is not on this "
        "machine. Install it before a run."
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"""A helper."""\n', {}),
        ('PART = {"summary": "One line."}\n', {"part": {"summary": "One line."}}),
        ('PART: dict[str, object] = {\n    "a": {\n        "b": 1,\n    },\n}\nx = {\n}\n', {"part": {"a": {"b": 1}}}),
        ('PARTS = {\n    "a:b": {"summary": "A."},\n    "c": {"summary": "C."},\n}\n', {"a:b", "c"}),
        ("def f():\n    PART = {}\n", {}),
    ],
)
def test_a_header_is_found_on_the_first_level(tmp_path, text, found):
    path = tmp_path / "part.py"
    path.write_text(text)
    assert headers.read(path) == found or set(headers.read(path)) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'PART = {"summary": "A.", "options": {"a": {"type": "int", "default": 1}}}',
            "options.a.meaning: is missing. It must be text.",
        ),
        (
            'PART = {"summary": "A.", "options": {"a": {"type": "integer"}}}',
            "PART: options.a.type: 'integer' is not allowed: it must be 'int'",
        ),
        ('PART = {"summary": "A.", "options": {"name": {"default": 1, "meaning": ""}}}', "options.name: cannot be the"),
        ('PART = {"summary": "A.", "images": (1,)}', "PART: 'images' is no key of a schedule. Allowed: summary, label"),
        ("PART = {1: open('x')}", "odd.py: PART: is not plain data"),
        ("PART = {'summary'}", "odd.py: PART: must hold keys and values"),
        ("PART = {**BASE}", "odd.py: PART: is not plain data"),
        ("PART = dict(summary='Odd.')", "odd.py: PART: must be written out as a dictionary"),
        ('PART = {"summary": 3}', "odd.py: PART: summary: 3 is not allowed: it must be text."),
    ],
)
def test_a_wrong_header_is_told_with_file_and_key(project, text, words):
    (project / "plugins/training/schedules/odd.py").write_text(text + "\n")
    with pytest.raises(UserError) as error:
        registry.check("schedule", "cosine")
    assert words in str(error.value)
    assert str(error.value).startswith("plugins/training/schedules/odd.py: PART: ")


def test_a_part_with_the_name_of_another_is_refused(project):
    (project / "plugins/models").mkdir()
    (project / "plugins/models/vgg.py").write_text('PART = {"summary": "Another one."}\n')
    with pytest.raises(UserError, match=r"^plugins/models/vgg.py: the model 'vgg' exists already, in "):
        registry.check("model", "vgg")


def test_the_code_of_a_part_is_that_of_all_modules_of_its_package_that_it_imports(project):
    (project / "own").mkdir()
    texts = {
        "part": 'from own import near\nimport own.far\nPART = {"summary": "A."}\n',
        "near": "",
        "far": "",
        "odd": "",
    }
    for name, text in texts.items():
        (project / f"own/{name}.py").write_text(text)

    def digest():
        plugins.digest.cache_clear()
        return registry.code("schedule", "own.part")

    before = digest()
    (project / "own/odd.py").write_text("# edited\n")
    assert digest() == before
    for name in ("part", "near", "far"):
        (project / f"own/{name}.py").write_text(texts[name] + "# edited\n")
        assert digest() != before, name
        (project / f"own/{name}.py").write_text(texts[name])
        assert digest() == before
    assert registry.code("schedule", "cosine") == ""


def test_reading_the_headers_imports_no_part():
    code = "import sys; from gengap.registry import REGISTRY; print(len(REGISTRY['probe']), 'torch' in sys.modules, "
    code += "[m for m in sys.modules if m.startswith('gengap.probes')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split(" ", 1)[1].strip() == "False []"
