"""Compartment kinds in readable form, as `astrodeploy inspect` prints them."""

from collections import Counter

from astrodeploy.compartments.kind import Kind, OperationList, Port, State

INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "shift_left": "<<",
    "shift_floor": ">>",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "not_equal": "!=",
    "and": "&",
    "or": "|",
}
LOADS = ("constant", "state", "parameter", "input")


def kind_text(kind: Kind) -> str:
    """The whole kind: declarations, then its lists; values used once are written where they are used."""
    lines = [f"kind {kind.name}"]
    lines += [f"  state {name}: {s.range} = {s.initial}{_slow(s)}" for name, s in kind.states.items()]
    lines += [f"  input {name}: {p.range}{_slow(p)}" for name, p in kind.inputs.items()]
    lines += [f"  output {name}: {p.range}" for name, p in kind.outputs.items()]
    lines += [f"  parameter {name}: {each}" for name, each in kind.parameters.items()]
    lines += [f"  table {name}: {len(values)} entries" for name, values in kind.tables.items()]
    lines += ["  every step:", *_list_text(kind.step)]
    if kind.window is not None:
        lines += ["  at the end of every window:", *_list_text(kind.window)]
    return "\n".join(lines) + "\n"


def _slow(each: State | Port) -> str:
    return ", slow" if each.slow else ""


def _list_text(each: OperationList) -> list[str]:
    uses = Counter(
        operand
        for name, *operands in each.operations
        if name not in LOADS
        for operand in (operands[1:] if name == "table" else operands)
    )
    uses.update([*each.stores.values(), *each.sends.values()])
    words: list[str] = []
    lines: list[str] = []
    for register, (name, *operands) in enumerate(each.operations):
        if name in LOADS:
            words.append(str(operands[0]))
            continue
        text = _expression(name, operands, words)
        if uses[register] > 1:
            lines.append(f"    t{register} = {text}")
            text = f"t{register}"
        words.append(text)
    lines += [f"    {state}' = {_bare(words[r])}" for state, r in each.stores.items()]
    lines += [f"    send {port} = {_bare(words[r])}" for port, r in each.sends.items()]
    return lines


def _expression(name: str, operands: list[object], words: list[str]) -> str:
    if name == "table":
        return f"{operands[0]}[{_bare(words[int(str(operands[1]))])}]"
    values = [words[int(str(o))] for o in operands]
    if name in INFIX:
        return f"({values[0]} {INFIX[name]} {values[1]})"
    return f"{name}({', '.join(_bare(v) for v in values)})"


def _bare(text: str) -> str:
    """An expression without its outer parentheses, where they enclose all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[1:-1] if i == len(text) - 1 else text
    return text
