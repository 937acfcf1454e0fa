"""The mutants of a module: mutmut's operators, and four that delete or negate statements.

Only code in functions is mutated. Texts for people are not: a string is mutated if it has no space, or is of bytes.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import Mutation, MutationVisitor
from mutmut.mutation.mutators import mutation_operators, operator_string
from mutmut.mutation.pragma_handling import IgnoredCode


@dataclass(frozen=True)
class Mutant:
    """`key` depends on the seed, the function and the changed expression, and not on other code."""

    path: str
    key: str
    _module: Any
    _mutation: Mutation

    def source(self) -> str:
        """The mutated module."""
        return str(self._module.deep_replace(self._mutation.original_node, self._mutation.mutated_node).code)

    def diff(self) -> str:
        """The changed lines, below the path and the line number."""
        before, after = self._module.code.splitlines(), self.source().splitlines()
        _, _, hunk, *lines = unified_diff(before, after, n=0, lineterm="")
        return "\n".join([f"{self.path}:{hunk.split()[1].strip('-').partition(',')[0]}", *lines])


def mutants(path: str, *, project: Path, seed: int) -> Iterator[Mutant]:
    """Yields all mutants of a module."""
    visitor = _Visitor(_OPERATORS, IgnoredCode(set(), set(), set()))
    module = MetadataWrapper(cst.parse_module((project / path).read_text())).visit(visitor)
    seen = Counter[str]()
    for mutation in visitor.mutations:
        function = mutation.contained_by_top_level_function
        if isinstance(function, cst.FunctionDef):
            nodes = (mutation.original_node, mutation.mutated_node)
            name = "\n".join([function.name.value, *map(module.code_for_node, nodes)])
            seen[name] += 1
            key = sha256(f"{seed}\n{path}\n{name}\n{seen[name]}".encode()).hexdigest()
            yield Mutant(path, key, module, mutation)


class _Visitor(MutationVisitor):  # type: ignore[misc]
    def _skip_node_and_children(self, node: Any) -> bool:
        """Includes decorated functions: mutmut skips them because of how it runs mutants, which is not used here."""
        is_decorated = isinstance(node, cst.FunctionDef) and node.decorators
        return not is_decorated and super()._skip_node_and_children(node)


def _string(node: Any) -> Iterator[Any]:
    if " " not in node.value or "b" in node.prefix:
        yield from islice(operator_string(node), 1)


def _delete_call(node: Any) -> Iterator[Any]:
    if isinstance(node.value, cst.Call | cst.Await):
        yield cst.Pass()


def _delete_raise(_: Any) -> Iterator[Any]:
    yield cst.Pass()


def _return_none(node: Any) -> Iterator[Any]:
    if node.value is not None:
        yield node.with_changes(value=None)


def _negate(node: Any) -> Iterator[Any]:
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test))


_OPERATORS = [
    *((kind, operator) for kind, operator in mutation_operators if operator is not operator_string),
    (cst.SimpleString, _string),
    (cst.Expr, _delete_call),
    (cst.Raise, _delete_raise),
    (cst.Return, _return_none),
    (cst.If, _negate),
]
