"""Every registered name is a file, and every file of a registered kind is a name or a helper."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from gengap import registry
from gengap.errors import UserError
from gengap.registry import REGISTRY
from gengap.studies.options import known_options
from gengap.studies.schema import Settings
from gengap.studies.settings import Cell, allowed_options
from gengap.studies.simulation import Point
from gengap.studies.study import Figure, Probe, Table

SETTINGS = {"probe": Probe, "simulation": Point, "figure": Figure, "table": Table}
NAMES = [(kind, name) for kind, names in REGISTRY.items() for name in names]


def functions(module):
    """The public functions that a module defines, with the names of their arguments."""
    own = inspect.getmembers(module, lambda member: inspect.isfunction(member) and member.__module__ == module.__name__)
    return {(name, *inspect.signature(found).parameters) for name, found in own if not name.startswith("_")}


@pytest.mark.parametrize("kind", REGISTRY)
def test_modules_of_a_kind_share_their_interface(kind):
    modules = [registry.load(kind, name) for name in REGISTRY[kind]]
    assert set.intersection(*map(functions, modules))
    assert all(module.__doc__ for module in modules)


@pytest.mark.parametrize("kind", REGISTRY)
def test_a_module_with_that_interface_is_registered(kind):
    """A forgotten header makes a finished module unreachable."""
    registered = {entry.module for entry in REGISTRY[kind].values()}
    interface = set.intersection(*(functions(importlib.import_module(name)) for name in registered))
    package = importlib.import_module(next(iter(registered)).rpartition(".")[0])
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.name not in registered:
            assert not interface <= functions(importlib.import_module(found.name)), f"{found.name} is not registered"


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_options_are_settings(kind, name):
    field = Cell.model_fields.get(kind)
    options = registry.check(kind, name).reads
    if kind == "probe":
        assert set(options) <= set(Probe.model_fields) - {"name", "epochs", "batchnorm"}
        return
    if field is None:
        assert not options
        return
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, Settings)
    assert set(options) <= set(field.annotation.model_fields) - {"name"}


def test_every_setting_of_a_component_is_read_by_someone():
    for kind, field in Cell.model_fields.items():
        if kind in REGISTRY:
            read = {option for name in REGISTRY[kind] for option in allowed_options(kind, name)}
            assert set(field.annotation.model_fields) - {"name"} == read - set(known_options(kind)), kind


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_default_is_a_value_that_the_option_allows(kind, name):
    for key, option in registry.check(kind, name).options.items():
        model = {"probe": Probe, "simulation": Point, "figure": Figure, "table": Table}.get(kind) or Cell.model_fields[
            kind
        ].annotation
        made = model.model_validate({model.named_by: name, key: option.default})
        assert getattr(made, key) == option.default
        assert made == model.model_validate({model.named_by: name})
        assert key not in made.model_dump()


def test_an_unknown_name_is_met_with_the_nearest_one():
    with pytest.raises(UserError, match=r"here: unknown model 'sonk'. Did you mean 'song'\? Choose from: "):
        registry.check("model", "sonk", where="here")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(
        REGISTRY["model"],
        "foreign",
        registry.Entry(module="gengap_has_no_such_package.model", path=Path(__file__), summary="Nothing."),
    )
    with pytest.raises(UserError, match="'foreign' needs the package 'gengap_has_no_such_package'"):
        registry.load("model", "foreign")
