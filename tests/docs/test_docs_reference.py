"""What the code has and a reference page does not is a failure: commands, settings, features, routes, errors."""

import ast
import json
import re
from pathlib import Path

import msgspec
import pytest
from starlette.routing import Route

from winnow.cli.app import app as cli
from winnow.console import app as console
from winnow.core.settings import Settings
from winnow.features.declare import Feature
from winnow.project import Project
from winnow.serving.request import RankReply, RankRequest

ROOT = Path(__file__).resolve().parents[2]
SOURCE, DOCS = ROOT / "src" / "winnow", ROOT / "docs"
KEBAB = re.compile(r"[a-z]+(-[a-z0-9]+)+")
# Modules that pass codes on as values rather than writing them into `Problem(...)`.
INDIRECT = ("data/checks.py", "data/database.py", "http/errors.py")


def page(name):
    return (DOCS / "reference" / name).read_text()


def code_in(text):
    """What the page writes as code."""
    return set(re.findall(r"`([^`\n]+)`", text))


# Commands


def commands(app=cli, path=()):
    """Words of a command, and the app that runs it."""
    for name in (n for n in app if not n.startswith("-")):
        sub = app[name]
        if sub.default_command:
            yield " ".join((*path, name)), sub
        else:
            yield from commands(sub, (*path, name))


def sections(text):
    parts = re.split(r"^## winnow (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def parameters(sub):
    """Every way to name a parameter of a command on the command line: options, and arguments in capitals."""
    for argument in sub.assemble_argument_collection():
        is_argument = argument.field_info.kind.name == "POSITIONAL_OR_KEYWORD"
        yield {argument.names[0].removeprefix("--").upper()} if is_argument else set(argument.names), argument


def test_every_command_is_documented_and_no_other():
    assert set(sections(page("commands.md"))) == {name for name, _ in commands()}


@pytest.mark.parametrize(("name", "sub"), list(commands()), ids=lambda v: v if isinstance(v, str) else "")
def test_every_option_is_documented_with_its_default(name, sub):
    rows = {}
    for line in sections(page("commands.md"))[name].splitlines():
        if line.startswith("| `"):
            left, default, _ = (cell.strip() for cell in line.strip("|").split(" | ", 2))
            rows[frozenset(code_in(left))] = default
    known = {frozenset(names): argument for names, argument in parameters(sub)}
    assert set(rows) == set(known)
    for names, default in rows.items():
        if default.startswith("`") and not default.startswith("`server."):
            assert default == f"`{known[names].field_info.default}`", names


# Settings


def settings():
    for section in msgspec.structs.fields(Settings):
        for setting in msgspec.structs.fields(section.type):
            yield section.name, setting.name, setting.default


@pytest.mark.parametrize(("section", "name", "default"), list(settings()))
def test_every_setting_is_documented(section, name, default):
    part = page("settings.md").partition(f"## {section}")[2].partition("\n## ")[0]
    assert f"| `{name}` | `{json.dumps(default)}` | `WINNOW_{section.upper()}_{name.upper()}` |" in part


# Features


def feature_classes():
    """Those that a system file can use: others derive from bases."""
    return [
        name
        for name, kind in Feature.known().items()
        if kind.__module__.startswith("winnow.")
        and not any(derived.__module__.startswith("winnow.") for derived in kind.__subclasses__())
    ]


@pytest.mark.parametrize("name", feature_classes())
def test_every_feature_class_has_a_section_with_an_example(name):
    _, heading, rest = page("features.md").partition(f"\n### {name}\n")
    section, spelt = rest.partition("\n#")[0], re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    assert heading
    assert f"`w.{spelt}(" in section
    assert f"w.{spelt}(" in section.partition("```python")[2]


def test_the_list_of_feature_classes_is_not_empty():
    assert {"Column", "Count", "Last"} <= set(feature_classes())


# Routes


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    return console.create(Project.init(tmp_path_factory.mktemp("docs") / "shop"))


def every_route(router):
    """The routes of an application, those of the routers in it included."""
    for route in router.routes:
        if isinstance(route, Route):
            yield route
        elif inner := getattr(route, "original_router", None):
            yield from every_route(inner)


def served(application):
    """Method and path of every route, from the routes themselves and from the description that clients get."""
    for route in every_route(application):
        yield from ((method, route.path) for method in (route.methods or ()) if method != "HEAD")
    for path, methods in application.openapi()["paths"].items():
        yield from ((method.upper(), path) for method in methods)


def test_every_route_is_documented_and_no_other(application):
    text = page("http.md")
    unnamed = {"/docs", "/redoc", "/docs/oauth2-redirect"}
    known = {(method, path) for method, path in served(application) if path not in unnamed}
    documented = set(re.findall(r"^\| `(GET|PUT|POST|DELETE) (/[^`]*)` \|", text, re.MULTILINE))
    assert documented == known


def test_every_option_of_a_request_and_field_of_a_reply_is_documented():
    text = (DOCS / "howto" / "serve.md").read_text().partition("## Ask for a list")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\|(.+?)\|", text, re.MULTILINE) for name in code_in(row)}
    assert set(RankRequest.__struct_fields__) <= named
    assert set(RankReply.__struct_fields__) - {"explanation"} <= named


# Errors


def called(node):
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def codes_of(path):
    """The codes that a module can raise."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            first = node.args[0].value
            if called(node) == "Problem":
                yield first
            elif called(node) == "unknown" and isinstance(first, str):
                yield f"unknown-{first}"
        if isinstance(node, ast.Call) and called(node) == "_found":
            yield from (keyword.arg.replace("_", "-") for keyword in node.keywords if keyword.arg)
    if str(path.relative_to(SOURCE)) in INDIRECT:
        constants = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
        yield from (value for value in constants if KEBAB.fullmatch(value))


def codes():
    return {code for path in SOURCE.rglob("*.py") for code in codes_of(path)}


def documented_codes():
    return re.findall(r"^\| `([a-z0-9-]+)` \|", page("errors.md"), re.MULTILINE)


def test_every_error_code_is_documented_and_no_other():
    assert set(documented_codes()) == codes()


def test_an_error_code_is_documented_once():
    found = documented_codes()
    assert len(found) == len(set(found))


def test_codes_passed_on_as_values_come_from_known_modules():
    """A new `Problem(variable, ...)` elsewhere would escape this file: add its module to `INDIRECT`."""
    places = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and called(node) == "Problem" and not isinstance(node.args[0], ast.Constant):
                places.add(str(path.relative_to(SOURCE)))
    assert places <= {*INDIRECT, "core/errors.py", "core/loading.py"}


def test_codes_that_pages_name_exist():
    linked = re.compile(r"\[`([a-z-]+)`\]\([^)]*errors\.md[^)]*\)")
    named = {code for file in DOCS.rglob("*.md") for code in linked.findall(file.read_text())}
    assert named
    assert named <= codes()
