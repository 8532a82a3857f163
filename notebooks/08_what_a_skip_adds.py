"""What a skip adds: the dimension of what an architecture can express, symmetries that skips break, the way back."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="8. What a skip adds")

with app.setup(hide_code=True):
    from itertools import product

    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    from algebraic_cnn import Architecture, factor_filter, function_space_dimension, is_realisable, symmetries
    from algebraic_cnn.algebra.varieties.factoring import composed
    from proofs import p14_varieties


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 8. What a skip adds

    So far a network came with its weights, and collapse gave its one function. Now the weights are letters: **which
    functions can an architecture express at all?** They form a variety, and its dimension is the rank of the derivative
    of the function by the weights at a general point, computed here exactly, modulo random primes.

    Choose strides, an activation and skips of a network of three layers with kernels of 3, 3 and 2 taps.
    """)
    return


@app.cell(hide_code=True)
def _():
    stride = mo.ui.slider(1, 3, value=2, label="stride of the first two layers", show_value=True)
    power = mo.ui.slider(1, 3, value=1, label="activation $x^r$, $r =$", show_value=True)
    chosen = mo.ui.multiselect(["(0, 2)", "(1, 3)", "(0, 3)"], value=["(0, 3)"], label="skips $(k, i)$")
    mo.vstack([stride, power, chosen])
    return chosen, power, stride


@app.cell
def _(chosen, power, stride):
    options = {"strides": [stride.value, stride.value, 1], "activation": None if power.value == 1 else power.value}
    skips = {tuple(map(int, edge.strip("()").split(", "))): 3 for edge in chosen.value}
    plain = Architecture.chain([3, 3, 2], **options)
    skipping = Architecture.chain([3, 3, 2], skips=skips, **options)
    with mo.status.spinner("Two dimensions are computed ..."):
        without, with_skips = (function_space_dimension(net, seed=1) for net in (plain, skipping))
    assert without.value == sum([3, 3, 2]) - (3 - 1)  # Kohn, Montufar, Shahverdi and Trager
    assert with_skips.value >= without.value
    return skipping, with_skips, without


@app.cell(hide_code=True)
def _(skipping, with_skips, without):
    _found = symmetries(skipping)
    _lost = [f"{edge} breaks {', '.join(f'{f.kind} behind layer {f.behind[0]}' for f in families) or 'nothing'}"
             for edge, families in _found.broken.items()]  # fmt: skip
    mo.md("\n".join([
        "| | parameters | symmetries | dimension | ambient | |", "|:---|---:|---:|---:|---:|:---|",
        *(f"| {name} | {d.parameters} | {d.symmetries} | **{d.value}** | {d.ambient} | {d.reason} |"
          for name, d in (("without skips", without), ("with them", with_skips))),
        "", *(f"* {line}" for line in _lost),
    ]))  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Without skips a factor may move from one layer to the next: two scalings, and so two dimensions fewer than there are
    weights. One skip over **one** linear layer changes nothing, $Wx + tRx = (W + tR)\,x$. A skip over two holds a
    scaling fast, and the space grows, unless it has been full before, as it is without strides. When the skip fades,
    $t \to 0$, training ends on a smaller variety than it started on.

    ## Not every filter is a network

    Two layers of two taps compose to three taps. The dimension is full, 3 of 3, and yet not every filter can be made: a
    polynomial $w_0 + w_1 x + w_2 x^2$ is a product of two real lines only where its roots are real. Below, $w_2 = 1$;
    every dot is decided exactly, and the line is $w_1^2 = 4 w_0$.
    """)
    return


@app.cell
def _():
    grid = list(product(range(-4, 9), range(-6, 7)))
    made = [is_realisable([w0, w1, 1], [2, 2], ring="RR") for w0, w1 in grid]
    assert made == [w1**2 >= 4 * w0 for w0, w1 in grid]
    return grid, made


@app.cell(hide_code=True)
def _(grid, made):
    _figure = Figure(figsize=(6, 4), layout="constrained")
    _axes = _figure.subplots()
    for _known, _marker, _label in ((True, "o", "two real layers"), (False, "x", "none")):
        _dots = [dot for dot, real in zip(grid, made, strict=True) if real == _known]
        _axes.scatter(*zip(*_dots, strict=True), marker=_marker, label=_label)
    _line = np.linspace(-6, 6, 100)
    _axes.plot(_line**2 / 4, _line, color="0.4", lw=1)
    _axes.set(xlim=(-4.5, 8.5), xlabel="$w_0$", ylabel="$w_1$", title="$w_0 + w_1 x + x^2$ as two layers")
    _figure.legend(loc="outside lower center", ncols=2)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The way back

    With a stride the last layer divides every polyphase part of the filter, so that there is one way back, exact:
    """)
    return


@app.cell
def _(stride):
    strides = [stride.value + 1, 1]
    layers = [[2, -1, 3], [5, 1]]
    w = composed(layers, strides)
    found = factor_filter(w, [3, 2], strides)
    assert [[int(tap) for tap in layer] for layer in found[0]] == layers
    assert len(found) == 1
    w[1] += 1
    assert factor_filter(w, [3, 2], strides) == []  # a filter beside it is none
    return found, strides


@app.cell(hide_code=True)
def _(found, strides):
    _layers = " and ".join(str([int(tap) for tap in layer]) for layer in found[0])
    mo.md(f"Stride {strides[0]}: the layers {_layers}, again.")
    return


@app.cell
def _():
    record = p14_varieties.prove()
    assert record.rocq
    return (record,)


@app.cell(hide_code=True)
def _(record):
    mo.md(f"""
    `proofs/p14_varieties.py`: {record.theorem}. In Rocq: {", ".join(f"`{lemma}`" for lemma in record.rocq)}.
    """)
    return


if __name__ == "__main__":
    app.run()
