"""What a program computes, as a list that two programs share exactly when they compute alike.

    script          for every call that the outputs need: what is called with what; then the outputs
    require_same    the refusal of a graph that does not do what its model does
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.fx import Node
from torch.utils import _pytree as pytree

from ..errors import TraceError
from .flow import Flow, results, where


def require_same(given: Flow, graph: Flow) -> None:
    """Refuse a graph that computes otherwise than the model that it was made from.

    Raises:
        TraceError: names the first line of the model whose call is missing or different.
    """
    missing = ("", "the outputs")
    for expected, got in zip(script(given), [*script(graph), missing], strict=False):
        if expected[0] != got[0]:
            what = "a module does something in training that it does not do in evaluation, where it must be opened"
            raise TraceError(what, where=expected[1])


def script(flow: Flow) -> list[tuple[str, str]]:
    """(what is called with what, where) for every call that the outputs need, then the outputs.

    Parameters and buffers are told apart by where they lie in memory, inputs and earlier calls by their number.
    """
    program = flow.program
    signature = program.graph_signature
    tensors: Mapping[str, Any] = {**program.state_dict, **program.constants}
    lifted = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = signature.inputs_to_lifted_tensor_constants
    inputs = list(signature.user_inputs)
    needed = _needed(program)
    called: dict[Node, str] = {}
    lines: list[tuple[str, str]] = []

    def described(value: Any) -> Any:
        return called.get(value, value) if isinstance(value, Node) else value

    for node in program.graph.nodes:
        if node.name in lifted:
            called[node] = f"tensor at {tensors[lifted[node.name]].data_ptr()}"
        elif node.name in constants:
            called[node] = f"constant {_content(tensors[constants[node.name]])}"
        elif node.op == "placeholder":
            called[node] = f"input {inputs.index(node.name)}"
        elif node in needed:
            called[node] = f"value {len(lines)}"
            arguments = pytree.tree_map(described, (node.args, dict(node.kwargs)))
            lines.append((f"{node.target} {arguments}", where(node)))
    returned = [described(value) for value in results(program)]
    return [*lines, (f"return {returned} as {program.call_spec.out_spec}", "the outputs")]


def _needed(program: Any) -> set[Node]:
    needed = {value for value in results(program) if isinstance(value, Node)}
    for node in reversed(program.graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return needed


def _content(constant: Any) -> Any:
    return constant.tolist() if isinstance(constant, Tensor) else constant
