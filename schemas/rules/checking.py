"""Expressions of rules, from text: checked against the records that they are about, and made ready for evaluation.

`compile_expression` has Google's compiler check the text, then takes out of the tree what is not plain CEL: functions over
windows, distances and metrics become variables, an int beside a double becomes a double. What is left is plain CEL.
"""

from collections.abc import Mapping
from typing import Any

from schemas.rules import dialect, tree
from schemas.rules.document import MOST_EXPRESSION
from schemas.rules.durations import BadDuration, micros
from schemas.rules.expression import BadExpression, Call, Expression, explained, shown
from schemas.rules.inputs import LABEL_COLUMN, LABELS, NOT_METRICS, Variable, metric

MOST_EXACT = 2**53


def compile_expression(text: str, variables: Mapping[str, Variable], metrics: bool) -> Expression:
    """Check an expression; `metrics`: names that are no variable are metrics.

    Raises:
        BadExpression: it is too long, no CEL, names what is not there, or combines what does not fit.
    """
    if len(text) > MOST_EXPRESSION:
        raise BadExpression(f"an expression of {len(text):,} characters; at most {MOST_EXPRESSION:,} are allowed")
    known = {**variables, **_metrics(text, variables)} if metrics else dict(variables)
    try:
        checked = dialect.environment({name: (kind, null) for name, (kind, null, _) in known.items()}).compile(text)
    except RuntimeError as error:
        raise BadExpression(explained(text, str(error))) from None
    whole = tree.checked(checked.serialize())
    places = {place.key: place.value for place in whole.source_info.positions}
    return _Rewriting(text, known, tree.types(whole), places, metrics).expression(whole.expr)


def _metrics(text: str, variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """The names in an expression that are metrics: those that no variable has and no comprehension binds."""
    try:
        whole = tree.parsed(dialect.environment({}).compile(text, disable_check=True).serialize())
    except RuntimeError as error:
        raise BadExpression(explained(text, str(error))) from None
    fields = {name.partition(".")[0] for name in variables}
    return {name: metric(name) for name in _free(whole.expr, frozenset()) - fields - NOT_METRICS}


def _free(node: Any, bound: frozenset[str]) -> set[str]:
    kind = node.WhichOneof("kind")
    if kind == "ident":
        name = node.ident.name
        return set() if name in bound or not name.isidentifier() else {name}
    if kind == "comprehension":
        loop = node.comprehension
        bound = bound | {loop.iter_var, loop.iter_var2, loop.accu_var}
    return {name for child in tree.children(node) for name in _free(child, bound)}


class _Rewriting:
    """One tree being rewritten; `columns` and `calls` are what was met so far."""

    def __init__(
        self, text: str, known: Mapping[str, Variable], types: dict[int, str], places: Mapping[int, int], metrics: bool
    ) -> None:
        self.text, self.known, self.types, self.places, self.metrics = text, known, types, places, metrics
        self.calls: dict[str, Call] = {}
        self.labels: set[str] = set()

    def expression(self, root: Any) -> Expression:
        """What becomes of a tree, or of a part of it that is evaluated by itself."""
        kind = self.types.get(root.id, "dyn")
        self._rewrite(root, frozenset())
        return self._made(root, kind)

    def _made(self, root: Any, kind: str) -> Expression:
        columns = {variable.column: variable.kind for variable in self.known.values()}
        columns |= {call.column: call.kind for call in self.calls.values()}
        columns |= dict.fromkeys(self.labels, "string")
        if self.metrics:
            columns |= {name: "double" for name in _names(root) if name.startswith(metric("").column)}
        used = _names(root)
        return Expression(
            self.text,
            kind,
            root,
            self.types,
            {name: columns[name] for name in sorted(used & columns.keys())},
            {name: call for name, call in self.calls.items() if name in used},
        )

    def _rewrite(self, node: Any, bound: frozenset[str]) -> None:
        kind = node.WhichOneof("kind")
        if kind == "call" and node.call.function in dialect.FUNCTIONS and not node.call.HasField("target"):
            self._taken(node, bound)
            return
        if self._label(node, kind):
            return
        if kind == "ident":
            self._variable(node, bound)
            return
        if kind == "comprehension":
            loop = node.comprehension
            bound = bound | {loop.iter_var, loop.iter_var2, loop.accu_var}
        for child in tree.children(node):
            self._rewrite(child, bound)
        if kind == "call" and len(node.call.args) == 2:
            self._same_numbers(node)

    def _variable(self, node: Any, bound: frozenset[str]) -> None:
        name = node.ident.name
        if name == LABELS:
            raise self._bad(node, "labels are asked for one by one: device.labels.NAME")
        if name in self.known and name not in bound:
            node.ident.name = self.known[name].column

    def _label(self, node: Any, kind: str | None) -> bool:
        """Put a variable, null where a device has no such label, in the place of `device.labels.NAME`, of the same in
        brackets, and a comparison with null in that of `has()` and `in`."""
        if kind == "select" and _is_labels(node.select.operand):
            name, whether = node.select.field, node.select.test_only
        elif kind == "call" and node.call.function == "_[_]" and _is_labels(node.call.args[0]):
            name, whether = self._literal(node.call.args[1], "the name of a label"), False
        elif kind == "call" and node.call.function == "@in" and _is_labels(node.call.args[1]):
            name, whether = self._literal(node.call.args[0], "the name of a label"), True
        else:
            return False
        self.labels.add(LABEL_COLUMN + name)
        if not whether:
            node.ident.name = LABEL_COLUMN + name
            return True
        pair = [type(node)(id=self._new(kind)) for kind in ("string", "null")]
        pair[0].ident.name = LABEL_COLUMN + name
        pair[1].const.null_value = 0
        node.call.Clear()
        node.call.function = "_!=_"
        node.call.args.extend(pair)
        return True

    def _taken(self, node: Any, bound: frozenset[str]) -> None:
        """Put a variable in the place of a call."""
        call = node.call
        if call.function == dialect.METRIC:
            if not self.metrics:
                raise self._bad(node, "only telemetry has metrics")
            name = self._literal(call.args[0], "the name of a metric")
            node.ident.name = metric(name).column
            return
        arguments, span = list(call.args), 0
        if call.function == dialect.DISTANCE:
            if len(arguments) == 2:
                arguments = [self._position(node, name) for name in ("location.latitude", "location.longitude")] + arguments
        else:
            span = self._span(arguments.pop())
        for argument in arguments:
            if _names(argument) & bound:
                raise self._bad(argument, f"{call.function} can't be of what a comprehension goes through")
            if any(self._function(inner) for inner in _walk(argument)):
                raise self._bad(argument, f"{call.function} of what is over a window itself")
        parts = tuple(self._argument(argument) for argument in arguments)
        made = Call(call.function, parts, span)
        self.calls[made.column] = made
        node.ident.name = made.column

    def _argument(self, node: Any) -> Expression:
        own = type(node)()
        own.CopyFrom(node)
        return self.expression(own)

    def _function(self, node: Any) -> bool:
        return node.WhichOneof("kind") == "call" and node.call.function in set(dialect.FUNCTIONS) - {dialect.METRIC}

    def _position(self, node: Any, name: str) -> Any:
        if name not in self.known:
            raise self._bad(
                node, "these records have no location: say distance(latitude, longitude, ...) of which two points"
            )
        made = type(node)(id=self._new("double"))
        made.ident.name = name
        return made

    def _new(self, kind: str) -> int:
        number = max(self.types, default=0) + 1
        self.types[number] = kind
        return number

    def _span(self, node: Any) -> int:
        """Microseconds of a literal duration, "5m" or duration("5m")."""
        inner = node
        if node.WhichOneof("kind") == "call" and node.call.function == "duration" and len(node.call.args) == 1:
            inner = node.call.args[0]
        text = self._literal(inner, "a window's length")
        try:
            found = micros(text)
        except BadDuration as error:
            raise self._bad(node, str(error)) from None
        if found == 0:
            raise self._bad(node, "a window of no length")
        return found

    def _literal(self, node: Any, what: str) -> str:
        if node.WhichOneof("kind") != "const" or node.const.WhichOneof("kind") != "string_value":
            raise self._bad(node, f"{what} must be written out, as text")
        return str(node.const.string_value)

    def _same_numbers(self, node: Any) -> None:
        """An int beside a double: make a double of it. Comparisons of variables are the evaluator's own affair."""
        function, pair = node.call.function, list(node.call.args)
        if function in dialect.ARITHMETIC or function in dialect.COMPARISONS or function in dialect.EQUALITIES:
            kinds = [self.types.get(part.id, "dyn") for part in pair]
            if "double" in kinds and kinds[0] != kinds[1] and set(kinds) <= {"int", "uint", "double"}:
                part = pair[kinds[0] == "double"]
                if part.WhichOneof("kind") == "const" or function in dialect.ARITHMETIC:
                    self._double(part)

    def _double(self, node: Any) -> None:
        if node.WhichOneof("kind") == "const":
            whole = getattr(node.const, node.const.WhichOneof("kind"))
            if abs(whole) > MOST_EXACT and int(float(whole)) != whole:
                raise self._bad(node, f"{whole} has no exact value as a double, with which it is combined")
            node.const.double_value = float(whole)
        else:
            inner = type(node)()
            inner.CopyFrom(node)
            node.Clear()
            node.call.function = "double"
            node.call.args.append(inner)
            node.id = self._new("double")
        self.types[node.id] = "double"

    def _bad(self, node: Any, what: str) -> BadExpression:
        offset = self.places.get(node.id, 0)
        before = self.text[:offset]
        return BadExpression(shown(self.text, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1, what))


def _walk(node: Any) -> list[Any]:
    return [node, *(inner for child in tree.children(node) for inner in _walk(child))]


def _names(node: Any) -> set[str]:
    return {inner.ident.name for inner in _walk(node) if inner.WhichOneof("kind") == "ident"}


def _is_labels(node: Any) -> bool:
    return bool(node.WhichOneof("kind") == "ident" and node.ident.name == LABELS)
