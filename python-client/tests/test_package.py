"""What `import gpud` shows: names that people call, each of them documented."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import pickle
import pydoc
import re
import traceback
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gpud

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
ERRORS = list(gpud._schema.ERRORS.values())


def shown(where: Any) -> list[str]:
    """What completion offers."""
    return [name for name in dir(where) if not name.startswith("_")]


def own(kind: type) -> Iterator[tuple[str, Any]]:
    """What a class itself has for people to use; what the protocol has under its own name is not among it."""
    return ((name, member) for name, member in vars(kind).items() if not name.startswith("_"))


def parameters(function: Any) -> str:
    """As a README has them, but for the defaults: `size, offset, *, file_offset`."""
    signature = inspect.signature(function)
    _, *bare = (p.replace(annotation=p.empty, default=p.empty) for p in signature.parameters.values())
    return str(inspect.Signature(bare))[1:-1]


def attribute_docs(module: Any) -> dict[str, str]:
    """The strings that stand below assignments."""
    body = ast.parse(inspect.getsource(module)).body
    docs = {}
    for at, after in itertools.pairwise(body):
        match at, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                docs[name] = doc
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(doc))):
                docs[name] = doc
    return docs


def test_completion_offers_what_people_call() -> None:
    assert shown(gpud) == sorted(gpud.__all__)
    assert {"Client", "Mem", "Region", "NotFoundError", "MemInfo", "connect", "limits"} <= set(gpud.__all__)
    assert gpud.limits.NAME_MAX == 255
    assert all(isinstance(getattr(gpud.limits, name), int) for name in shown(gpud.limits))


def test_everything_is_documented() -> None:
    constants = attribute_docs(gpud._schema)
    for name in gpud.__all__:
        value = getattr(gpud, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert value.__doc__, name
            # That would be dataclass() making one up.
            assert not value.__doc__.startswith(f"{name}("), name
        else:
            assert constants.get(name), name
    assert attribute_docs(gpud.limits).keys() == set(shown(gpud.limits))
    for kind in (gpud.Client, gpud._schema.Methods, gpud.Mem, gpud.Region, gpud.Opening):
        for name, member in own(kind):
            assert member.__doc__, f"{kind.__name__}.{name}"


@pytest.mark.parametrize("kind", [gpud.Client, gpud.Mem, gpud.Region])
def test_readme_names_every_method(kind: type) -> None:
    for name, member in own(kind):
        full = f"{kind.__name__.lower()}.{name}"
        if isinstance(member, property):
            assert f"`{full}`" in README, full
            continue
        calls = re.findall(rf"`{re.escape(full)}\((.*?)\)`", README)
        assert calls, f"python-client/README.md lacks `{full}({parameters(member)})`"
        for call in calls:
            *names, last = (re.sub("=.*", "", name) for name in call.split(", "))
            if last == "...":
                assert parameters(member).startswith(", ".join(names)), f"{full}({call})"
            else:
                assert parameters(member) == ", ".join([*names, last]), f"{full}({call})"


@pytest.mark.parametrize("kind", [gpud.Client, gpud.Mem])
def test_copies_take_their_arguments_in_one_order(kind: type) -> None:
    """The other side, `size`, `offset`; and by name what the offset in the other side is called."""
    for name, member in own(kind):
        if inspect.isroutine(member):
            by_place, _, by_name = parameters(member).partition("*, ")
            assert not re.search(r"\boffset\b.*\bsize\b", by_place), f"{name}({by_place})"
            assert not re.search(r"\w_offset\b", by_place), f"{name}({by_place})"
            assert not re.search(r"\boffset\b", by_name), f"{name}(*, {by_name})"


def test_classes_are_shown_as_people_import_them() -> None:
    assert repr(gpud.NotFoundError) == "<class 'gpud.NotFoundError'>"
    for name in gpud.__all__:
        value = getattr(gpud, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert (value.__module__, value.__qualname__) == ("gpud", name)
    error = gpud.NotFoundError("no such allocation", hint="look for it")
    assert traceback.format_exception_only(error) == [
        "gpud.NotFoundError: no such allocation\n",
        "hint: look for it\n",
    ]


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_travel_between_processes(kind: type[gpud.Error]) -> None:
    error = kind("what and why", hint="do")
    error.code = 999
    came = pickle.loads(pickle.dumps(error))
    assert type(came) is kind
    assert (str(came), came.code, came.hint) == ("what and why", 999, "do")
    assert came.__notes__ == ["hint: do"]


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if issubclass(kind, OSError)])
def test_errors_that_are_of_the_system_have_its_number(kind: type[gpud.Error]) -> None:
    """And it is that of the built-in exception: OSError makes one of the number."""
    error = kind("what and why")
    assert isinstance(error, OSError)
    made = OSError(error.errno, "what and why")
    assert isinstance(error, type(made)) or type(made) is BrokenPipeError
    assert (str(error), error.errno) == ("what and why", pickle.loads(pickle.dumps(error)).errno)


def test_results_travel_and_tell_their_types() -> None:
    result = gpud.MemListResult(mems=(), next=7)
    assert pickle.loads(pickle.dumps(result)) == result
    for name in gpud.__all__:
        if dataclasses.is_dataclass(getattr(gpud, name)):
            assert typing.get_type_hints(getattr(gpud, name))


def test_help_tells_of_a_class_and_its_methods() -> None:
    text = pydoc.render_doc(gpud.Mem, renderer=pydoc.plaintext)
    assert "class Mem in module gpud" in text
    assert "write_from_file(" in text
    assert "connect(" in pydoc.render_doc(gpud.connect, renderer=pydoc.plaintext)
