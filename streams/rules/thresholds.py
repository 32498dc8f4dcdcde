"""What a condition compares: the value that an alert shows, and a second threshold for when it is over."""

from dataclasses import replace
from typing import Any

from schemas.rules import dialect, tree
from schemas.rules.expression import BadExpression, Expression, constant


def _comparison(node: Any) -> Any:
    """The first comparison in a tree."""
    if node.WhichOneof("kind") == "call" and node.call.function in {**dialect.COMPARISONS, **dialect.EQUALITIES}:
        return node
    if node.WhichOneof("kind") == "comprehension":
        return None
    return next((found for child in tree.children(node) if (found := _comparison(child)) is not None), None)


def shown(when: Expression) -> Expression | None:
    """The side of the first comparison that is no constant, if it is a number."""
    found = _comparison(when.root)
    if found is None:
        return None
    left, right = found.call.args
    side = right if constant(left) is not None else left
    kind = when.types.get(side.id, "dyn")
    if kind not in ("int", "double") or constant(side) is not None:
        return None
    return replace(when, root=side, kind=kind)


def beyond(when: Expression, threshold: float) -> Expression:
    """When the value is beyond a second threshold: `temperature > 100` with 95 clears at 95 and below."""
    root = when.root
    function = root.call.function if root.WhichOneof("kind") == "call" else ""
    if function not in dialect.COMPARISONS or not isinstance(first := constant(root.call.args[1]), int | float):
        raise BadExpression("needs `when` to compare a value with a number, such as temperature > 100")
    if threshold > first if function in ("_>_", "_>=_") else threshold < first:
        raise BadExpression(
            f"a second threshold of {threshold:g} is on the same side as the first, {first:g}: it would clear at once"
        )
    made = type(root)()
    made.CopyFrom(root)
    made.call.args[1].const.double_value = threshold
    whole = type(root)(id=max(when.types) + 1)
    whole.call.function = "!_"
    whole.call.args.append(made)
    return replace(when, root=whole, types={**when.types, root.call.args[1].id: "double", whole.id: "bool"})
