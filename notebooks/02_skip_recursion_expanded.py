"""The skip recursion, expanded: draw skips, see the paths, the words of W and B, the numbers, the polynomial in t."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="2. The skip recursion, expanded")

with app.setup(hide_code=True):
    from itertools import pairwise

    import marimo as mo
    import numpy as np
    import sympy
    from matplotlib.figure import Figure

    from algebraic_cnn import Layer, Rationals, Skip, SkipRecursion, conv_matrix, pad_matrix
    from algebraic_cnn.algebra.symbolic import Skeleton, entry_map, symbol_array, to_latex
    from algebraic_cnn.algebra.symbolic.expansion import Term
    from algebraic_cnn.apps.plots import skeleton_figure
    from proofs import p03_collapse, p05_paths, p06_homotopy


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 2. The skip recursion, expanded

    Stack convolutions, let some outputs **skip** over layers and be added further on, and leave the activations out.
    How complicated can such a network be? Joyce and Verschelde write it as one recursion. With $f^{(0)}(X) =
    \operatorname{vec} X$,

    $$f^{(i)}(X) \;=\; W^{(i)} P^{(i)} \Big( \sum_{k=0}^{i-1} t^{(k,i-1)} R^{(k,i-1)} f^{(k)}(X) \Big) + B^{(i)},
      \qquad i = 1, \dots, L .$$

    $W^{(i)}$ is the matrix of a convolution and $P^{(i)}$ its padding (that was notebook 1); $t^{(k,i-1)}$ is the
    strength of a skip, and $R^{(k,i-1)}$ makes its shape fit. The term $k = i - 1$ is the ordinary feed.

    **Theorem 3.1.** Whatever the layers and the skips, $f^{(L)}(X) = W X + B$ for one matrix $W$ and one vector $B$:
    $W$ is the recursion without its $B^{(i)}$, applied to the identity matrix, and $B = f^{(L)}(0)$.

    ## Draw a network

    Choose the number of layers and the skips: $(k, i)$ leads from $f^{(k)}$ into layer $i$.
    """)
    return


@app.cell(hide_code=True)
def _():
    depth = mo.ui.slider(1, 6, value=4, label="layers $L$", show_value=True)
    depth
    return (depth,)


@app.cell(hide_code=True)
def _(depth):
    _all = [f"({k}, {i})" for i in range(2, depth.value + 1) for k in range(i - 1)]
    _some = [edge for edge in ("(0, 2)", "(1, 4)", "(2, 4)") if edge in _all]
    chosen = mo.ui.multiselect(_all, value=_some, label="skips $(k, i)$", full_width=True)
    chosen
    return (chosen,)


@app.cell
def _(chosen, depth):
    edges = [tuple(int(n) for n in edge.strip("()").split(",")) for edge in chosen.value]
    skeleton = Skeleton.full(depth.value, edges)
    paths = list(skeleton.paths())
    assert len(paths) == skeleton.count_paths() <= 2 ** (depth.value - 1)
    return edges, paths, skeleton


@app.function(hide_code=True)
def word_of(skeleton, path):
    """The word of a path from f^(0), as LaTeX."""
    from algebraic_cnn.algebra.symbolic.display import scalars, word

    term = Term((0, 0), tuple(path))
    letters = [*sorted(scalars(term, skeleton)), *word(term, skeleton, applied=False)]
    return " ".join(f"{kind}^{{{index}}}" for kind, _, index in (letter.partition("^") for letter in letters))


@app.function(hide_code=True)
def in_lines(formula, letters=27):
    """A LaTeX sum, broken before plus signs into lines of about so many letters with an index."""
    left, right = formula.split(" = ", 1)
    lines = [""]
    for term in right.split(" + "):
        full = lines[-1] and lines[-1].count("^") + term.count("^") > letters
        lines[-1:] = [lines[-1], term] if full else [" + ".join(filter(None, [lines[-1], term]))]
    return rf"$$\begin{{aligned}} {left} \;=\;& " + r" \\ &+ ".join(lines) + r" \end{aligned}$$"


@app.cell(hide_code=True)
def _(paths):
    which = mo.ui.slider(1, max(len(paths), 2), value=1, label="path", show_value=True)
    mo.md(f"""
    ## A path is a word

    Follow the arrows from $f^{{(0)}}$ to $f^{{(L)}}$, at every node taking the feed or a skip. Each way through is
    one product of matrices, read from right to left: one **word**. {which}
    """)
    return (which,)


@app.cell(hide_code=True)
def _(paths, skeleton, which):
    path = paths[min(which.value, len(paths)) - 1]
    _taken = set(pairwise(path))
    picture = skeleton_figure(skeleton)
    for _arrow, _edge in zip(picture.axes[0].patches, skeleton.edges, strict=True):
        _arrow.set_linewidth(3 if _edge in _taken else 0.8)
        _arrow.set_alpha(1 if _edge in _taken else 0.45)
    _arrows = r" \to ".join(map(str, path))
    mo.vstack([mo.center(picture), mo.md(rf"Path ${_arrows}$ is the word $\;{word_of(skeleton, path)}$.")])
    return (path,)


@app.cell(hide_code=True)
def _():
    part = mo.ui.radio({"W": "W", "B": "B", "f = W X + B": "f"}, value="W", inline=True, label="show")
    one = mo.ui.checkbox(label="one strength $t$ for all skips")
    mo.md(f"""
    ## The whole formula

    Add up the words of all paths: that is $W$. Start at layer $s$ with $B^{{(s)}}$ instead of $X$: that is $B$.
    Nothing else is left after multiplying out. {part} {one}
    """)
    return one, part


@app.cell(hide_code=True)
def _(one, part, skeleton):
    _words = skeleton.count_paths() if part.value == "W" else sum(map(skeleton.count_paths, range(skeleton.depth + 1)))
    _text = (
        in_lines(to_latex(skeleton, part.value, one_strength=one.value))
        if _words <= 40
        else f"*{_words} words: more than anyone reads. Counting them is cheap, and so is the recursion.*"
    )
    mo.md(_text).style(overflow_x="auto", font_size="90%")
    return


@app.cell
def _(skeleton):
    # with every skip there are 2^(L-1) words; the recursion never writes them down
    everything = [Skeleton.full(L).count_paths() for L in range(1, 41)]
    assert everything == [2 ** (L - 1) for L in range(1, 41)]
    mo.md(f"Your network has {skeleton.count_paths()} words in $W$. Forty layers with all skips: {everything[-1]:,}.")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## W and B appear

    Now with numbers. Every layer is a convolution with three random integer taps on a signal of six pixels, padded by
    one zero on each side; every skip has strength $\tfrac12$. Integers and halves are exact in floating point, so
    `==` means equal.
    """)
    return


@app.cell
def _(edges, skeleton):
    generator = np.random.default_rng(4)
    P = pad_matrix((1, 6), [(1, 1)], format="dense")

    def layer():
        taps = generator.integers(-2, 3, (1, 1, 3)).astype(float)
        return Layer(conv_matrix(taps, (1, 8), format="dense"), P, generator.integers(-3, 4, 6).astype(float))

    f = SkipRecursion([layer() for _ in range(skeleton.depth)], {edge: Skip(t=0.5) for edge in edges})
    g = f.collapse()
    return P, f, g


@app.cell(hide_code=True)
def _(g):
    _W, _b = (sympy.Matrix(np.vectorize(sympy.nsimplify)(array)) for array in (g.W, g.b))
    mo.md(rf"$$\def\arraystretch{{1.3}} W = {sympy.latex(_W)}, \qquad B = {sympy.latex(_b)}$$").style(overflow_x="auto")
    return


@app.cell
def _(P, f, g, skeleton):
    x = np.arange(6.0) - 2
    assert np.array_equal(f.forward(x), g.W @ x + g.b)  # the theorem, at one input
    assert np.array_equal(f.forward(np.zeros(6)), g.b)  # B = f(0)

    words = np.zeros((6, 6))
    for way in skeleton.paths():
        word = np.eye(6)
        for edge in pairwise(way):
            word = f.layers[edge[1] - 1].W @ P @ (f.skips[edge].t * word)
        words += word
    assert np.array_equal(words, g.W)  # W is the sum of its words
    assert f.adjoint().exactly_equals(g)  # and the same from the other end: one backward pass for each output
    assert f.collapse(Rationals()).exactly_equals(g)  # and over the rational numbers
    mo.md(f"All of these agree in all {g.W.size} entries of $W$ and all {g.b.size} of $B$.")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **What to notice.** Five ways to the same matrix agree to the last bit: the recursion on the identity, the forward
    pass, the sum over all paths, the adjoint, and exact fractions. The rows near the top and the bottom of $W$ look
    different from those in the middle: padding cuts paths off there. Notebook 4 is about that.

    ## With letters all the way down

    The same code runs on symbols. Two layers with the kernels $a$ and $b$ on three pixels, padded by a zero on the
    right, and a skip of strength $t$ from the input into the second layer:
    """)
    return


@app.cell
def _():
    a, b, t = symbol_array("a", (2,)), symbol_array("b", (2,)), sympy.Symbol("t")
    tiny = [Layer(conv_matrix(taps[None, None], (1, 3), padding=[(0, 1)], format="dense")) for taps in (a, b)]
    symbolic = entry_map(SkipRecursion(tiny, {(0, 2): Skip(t)}))
    A, B = (np.array([[k[0], k[1], 0], [0, k[0], k[1]], [0, 0, k[0]]]) for k in (a, b))
    assert (sympy.Matrix(symbolic.W) - sympy.Matrix(B @ (A + t * np.eye(3, dtype=int)))).expand().is_zero_matrix
    mo.md(f"$$W = {sympy.latex(sympy.Matrix(symbolic.W))}$$")
    return


@app.cell(hide_code=True)
def _():
    strength = mo.ui.slider(0, 1, step=0.0625, value=0.5, label="$t$", show_value=True)
    mo.md(rf"""
    ## The strength as a variable

    Let all skips have the one strength $t$. A word with $d$ skips carries $t^d$, so $W(t) = \sum_d t^d A_d$ is a
    **polynomial in $t$**. A skip jumps over at least one layer, so a path has room for at most $\lfloor L / 2
    \rfloor$ of them: that bounds the degree. Collapse once, and you have the network at *every* strength, from the
    residual network at $t = 1$ to the plain chain at $t = 0$.

    {strength}
    """)
    return (strength,)


@app.cell
def _(edges, f, strength):
    unit = SkipRecursion(f.layers, {edge: Skip(t=1.0) for edge in edges})
    polynomial = unit.polynomial()
    assert polynomial.degree <= len(f.layers) // 2

    faded = SkipRecursion(f.layers, {edge: Skip(t=strength.value) for edge in edges})
    assert polynomial(strength.value).exactly_equals(faded.collapse())  # evaluated, not collapsed again
    return (polynomial,)


@app.cell(hide_code=True)
def _(polynomial, strength):
    _ts = np.linspace(0, 1, 65)
    _maps = np.stack([polynomial(t).W for t in _ts])
    _top = np.abs(_maps).max() or 1.0
    _figure = Figure(figsize=(10, 3.4), layout="constrained")
    _left, _right = _figure.subplots(1, 2, width_ratios=[1, 1.8])
    _left.imshow(polynomial(strength.value).W, cmap="RdBu_r", vmin=-_top, vmax=_top)
    _left.set_title(f"W at t = {strength.value:g}", fontsize=11)
    _left.set(xlabel="input", ylabel="output")
    for _column in range(6):
        _right.plot(_ts, _maps[:, 2, _column], label=f"W[2, {_column}]")
    _right.axvline(strength.value, color="0.6", linestyle="--")
    _right.set(xlabel="t", title=f"row 2 of W: polynomials of degree {polynomial.degree} or less")
    _right.legend(fontsize=8, ncols=2)
    _figure
    return


@app.cell(hide_code=True)
def _(polynomial):
    _t = sympy.Symbol("t")
    _row = [sum(sympy.nsimplify(f.W[2, c]) * _t**d for d, f in enumerate(polynomial.coefficients)) for c in range(6)]
    mo.md(rf"The same row as polynomials: $\;{sympy.latex(sympy.Matrix([_row]))}$").style(overflow_x="auto")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The proofs

    Each of these statements has a file in `proofs/` that derives it with symbols for the library's own code, tries it
    on random networks over $\mathbb{Q}$ and $\mathbb{F}_p$, and names the theorems that prove it for all sizes in
    Rocq.
    """)
    return


@app.cell
def _():
    with mo.status.spinner("Three theorems are proved ..."):
        records = {module.__name__: module.prove() for module in (p03_collapse, p05_paths, p06_homotopy)}
    assert all(record.instances and record.rocq for record in records.values())
    return (records,)


@app.cell(hide_code=True)
def _(records):
    _rows = [
        f"| `{name.replace('.', '/')}.py` | {record.theorem} | {', '.join(f'`{lemma}`' for lemma in record.rocq)} |"
        for name, record in records.items()
    ]
    _next = "Next: `03_theorem_on_a_trained_network.py`, the theorem on a network that has learned something."
    mo.md("\n".join(["| proof | what it proves | in Rocq |", "|:---|:---|:---|", *_rows, "", _next]))
    return


if __name__ == "__main__":
    app.run()
