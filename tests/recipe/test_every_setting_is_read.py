"""A setting that nothing reads would be a promise that nobody keeps: each is read by some line of the source.

The source is read as a tree. Names whose class is known from annotations are followed, as `recipe.training.rank` is
from `recipe: Recipe`; of an attribute whose owner is not known it is enough that only one setting has that name and no
other class does.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import sonneteer
from sonneteer.recipe.section import Section
from sonneteer.recipe.sections import PERSONAL_KINDS

SOURCE = Path(sonneteer.__file__).parent
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
SEVERAL = ("tuple", "list", "Sequence", "Iterable")
BY_KIND = {("PrivacySettings", kind) for kind in PERSONAL_KINDS}
"""Read in a loop over their names by `PrivacySettings.of_action`."""


def type_name(annotation: ast.expr | None) -> str:
    """The class that an annotation names; `each X` for a tuple, list or sequence of them."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return type_name(ast.parse(annotation.value, mode="eval").body)
    if isinstance(annotation, ast.Name):
        return annotation.id
    if isinstance(annotation, ast.Attribute):
        return annotation.attr
    if isinstance(annotation, ast.BinOp):  # X | None
        return next((name for side in (annotation.left, annotation.right) if (name := type_name(side))), "")
    if isinstance(annotation, ast.Subscript) and type_name(annotation.value) in (
        "tuple",
        "list",
        "Sequence",
        "Iterable",
    ):
        inner = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
        return f"each {type_name(inner)}"
    return ""


def classes() -> dict[str, dict[str, str]]:
    """Fields, properties and methods of every class, with the class that each gives."""
    found: dict[str, dict[str, str]] = {}
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                fields = found.setdefault(node.name, {})
                for part in ast.walk(node):
                    if isinstance(part, ast.AnnAssign):
                        target = part.target
                        name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
                        fields[name] = type_name(part.annotation)
                    elif isinstance(part, ast.FunctionDef):
                        fields.setdefault(part.name, type_name(part.returns))
                        fields |= own_names(part)
    return found


def own_names(function: ast.FunctionDef) -> dict[str, str]:
    """What a method keeps of its parameters, as in `self._recipe = recipe`."""
    given = {argument.arg: type_name(argument.annotation) for argument in function.args.args}
    kept: dict[str, str] = {}
    for part in ast.walk(function):
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Name):
            for target in part.targets:
                if isinstance(target, ast.Attribute) and given.get(part.value.id):
                    kept[target.attr] = given[part.value.id]
    return kept


CLASSES = classes()


class Reader(ast.NodeVisitor):
    """Collects which fields of which classes a module reads."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.own = ""
        self.known: set[tuple[str, str]] = set()
        self.unknown: set[str] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        before, self.own = self.own, node.name
        self.generic_visit(node)
        self.own = before

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before = self.names
        arguments = [*node.args.args, *node.args.kwonlyargs]
        self.names = before | {argument.arg: type_name(argument.annotation) for argument in arguments}
        self.names["self"] = self.own
        for part in (*node.body, *node.body):  # twice: what is assigned later may be read by an inner function
            self.visit(part)
        self.names = before

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            for name, value in pairs:
                if isinstance(name, ast.Name) and (kind := self.kind_of(value)):
                    self.names[name.id] = kind

    def visit_For(self, node: ast.For) -> None:
        self.bind(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.bind(node.target, node.iter)

    def generic_visit(self, node: ast.AST) -> None:
        for generator in getattr(node, "generators", ()):
            self.bind(generator.target, generator.iter)
        super().generic_visit(node)

    def bind(self, target: ast.expr, items: ast.expr) -> None:
        self.visit(items)
        kind = self.kind_of(items)
        if isinstance(target, ast.Name) and kind.startswith("each "):
            self.names[target.id] = kind.removeprefix("each ")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.visit(node.value)
        owner = self.kind_of(node.value)
        if owner in CLASSES:
            self.known.add((owner, node.attr))
        else:
            self.unknown.add(node.attr)

    def kind_of(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self.names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            return CLASSES.get(self.kind_of(node.value), {}).get(node.attr, "")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return self.kind_of(node.func)
        return ""


def unread() -> list[str]:
    """Settings that no line outside the recipe's own classes reads."""
    known, unknown = set(BY_KIND), set()
    for path, tree in TREES.items():
        if path.parent.name != "recipe":
            reader = Reader()
            reader.visit(tree)
            known |= reader.known
            unknown |= reader.unknown
    holders = Counter(field for fields in CLASSES.values() for field in fields)
    return [
        f"{section.__name__}.{key}"
        for section in Section.__subclasses__()
        for key in section.model_fields
        if (section.__name__, key) not in known and not (key in unknown and holders[key] == 1)
    ]


def test_every_setting_is_read_by_something() -> None:
    assert unread() == []


def test_a_setting_that_nothing_reads_is_found() -> None:
    CLASSES["TrainingSettings"]["never_read"] = "float"
    reader = Reader()
    reader.visit(ast.parse("def f(settings: TrainingSettings) -> float:\n    return settings.rank"))
    assert ("TrainingSettings", "rank") in reader.known
    assert ("TrainingSettings", "never_read") not in reader.known
    del CLASSES["TrainingSettings"]["never_read"]
