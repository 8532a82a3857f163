"""A convolution is a matrix: Toeplitz on one axis, doubly block Toeplitz on two; its rows, its columns, its proof."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="1. A convolution is a matrix")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    import sympy
    from matplotlib.figure import Figure
    from torch import from_numpy
    from torch.nn.functional import conv2d, pad

    from algebraic_cnn import conv_matrix, pad_matrix
    from algebraic_cnn.algebra.symbolic import symbol_array
    from algebraic_cnn.apps.plots import spy_figure
    from algebraic_cnn.errors import AlgebraicError
    from proofs import p01_toeplitz
    from proofs.record import Refuted


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 1. A convolution is a matrix

    A convolution slides a kernel over an image. At every stop it multiplies what lies under the kernel and adds up.
    Each output pixel is therefore a **sum of input pixels times constants**, and a thing whose every output is such a
    sum is a matrix. This page builds that matrix, first with letters, then with numbers; the whole library stands on
    it.

    ## One axis

    Let $K[u]$ be the taps of a kernel and $X[v]$ the pixels of a signal. What deep learning calls a convolution is

    $$Y[o] \;=\; \sum_u K[u]\, X[o + u] .$$

    Put $v = o + u$: pixel $X[v]$ counts $K[v - o]$ times in $Y[o]$. So $\operatorname{vec} Y = T \operatorname{vec}
    X$ with

    $$T[o, v] \;=\; K[v - o] \quad\text{and } 0 \text{ where } v - o \text{ is no tap.}$$

    The entry depends on $v - o$ only. Such a matrix, constant along its diagonals, is a **Toeplitz matrix**.
    """)
    return


@app.cell
def _():
    K1 = symbol_array("k", (3,))[None, None]  # one output channel, one input channel, three taps
    T1 = conv_matrix(K1, (1, 6), format="dense")  # on a signal of six pixels
    return K1, T1


@app.cell(hide_code=True)
def _(K1, T1):
    _x = sympy.Matrix(symbol_array("x", (6,)))
    assert all(T1[o, v] == (K1[0, 0, v - o] if 0 <= v - o < 3 else 0) for o, v in np.ndindex(*T1.shape))
    mo.md(rf"""
    $$T \operatorname{{vec}} X \;=\; {sympy.latex(sympy.Matrix(T1))} {sympy.latex(_x)}$$
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Two axes, and everything that torch lets you choose

    With rows and columns, $o$, $u$ and $v$ are pairs, and $\operatorname{vec}$ reads an image row by row. Cut the
    matrix into blocks, one for each row of the output and each row of the input: the blocks are constant along the
    diagonals, **and** every block is itself Toeplitz. The matrix is *doubly block Toeplitz*. A stride keeps only some
    of its rows; a dilation spreads the taps; padding multiplies it by one more matrix $P$, which repeats pixels or
    puts zeros:

    $$\operatorname{vec} Y \;=\; W P \operatorname{vec} X .$$

    Move the controls. Everything below follows.
    """)
    return


@app.cell(hide_code=True)
def _():
    size = mo.ui.slider(3, 7, value=4, label="image", show_value=True)
    kernel = mo.ui.slider(1, 4, value=2, label="kernel", show_value=True)
    stride = mo.ui.slider(1, 3, value=1, label="stride", show_value=True)
    padding = mo.ui.slider(0, 2, value=0, label="padding", show_value=True)
    dilation = mo.ui.slider(1, 2, value=1, label="dilation", show_value=True)
    mode = mo.ui.dropdown(["zeros", "reflect", "replicate", "circular"], value="zeros", label="padding mode")
    mo.vstack([mo.hstack([size, kernel, stride], justify="start", gap=2),
               mo.hstack([padding, mode, dilation], justify="start", gap=2)])  # fmt: skip
    return dilation, kernel, mode, padding, size, stride


@app.cell
def _(dilation, kernel, mode, padding, size, stride):
    letters = symbol_array("k", (kernel.value, kernel.value))
    image_shape = (1, size.value, size.value)
    options = {"stride": stride.value, "padding": padding.value, "dilation": dilation.value, "padding_mode": mode.value}
    try:
        T = conv_matrix(letters[None, None], image_shape, **options, format="dense")
    except AlgebraicError as error:
        mo.stop(True, mo.callout(mo.md(f"There is no such convolution, nor in torch: {error}"), kind="warn"))
    return T, image_shape, letters, options


@app.cell(hide_code=True)
def _(T, letters):
    _matrix = mo.md(rf"$$W P = {sympy.latex(sympy.Matrix(T))}$$").style(font_size="85%", overflow_x="auto")
    _large = mo.md("*More than 400 entries: too many to read. The picture below shows them all.*")
    mo.vstack([
        mo.md(rf"The kernel is $K = {sympy.latex(sympy.Matrix(letters))}$, its matrix has {T.shape[0]} rows (outputs) "
              rf"and {T.shape[1]} columns (inputs):"),
        _matrix if T.size <= 400 else _large,
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **What to notice.** With stride 1 and no padding every letter runs along diagonals, inside the blocks and from
    block to block. Padding with zeros cuts the diagonals off at the blocks' corners. Reflection makes sums such as
    $k_{00} + k_{02}$: one pixel is met by two taps. Stride 2 thins the rows. The sparsity *never* depends on the
    numbers, which is why the library computes it once per geometry, from integers alone, and then fills in whatever
    you like: floats, fractions, residues modulo a prime, or the letters above.

    ## The same matrix as a picture

    One shade for every tap, the first the palest, the last the darkest. Lines separate the blocks.
    """)
    return


@app.cell(hide_code=True)
def _(T, image_shape, kernel, options):
    numbers = np.arange(1.0, kernel.value**2 + 1).reshape(1, 1, kernel.value, kernel.value)
    W = conv_matrix(numbers, image_shape, **options)
    side = round(T.shape[0] ** 0.5)
    _figure = spy_figure(W, blocks=(side, image_shape[2]), title=f"{W.shape[0]} x {W.shape[1]}, {W.nnz} entries")
    _figure.set_size_inches(5.6, 4.6)
    assert W.shape == T.shape
    assert ((W.toarray() != 0) == (T != 0)).all()  # letters and numbers have one sparsity
    mo.center(_figure)
    return W, numbers, side


@app.cell(hide_code=True)
def _(W):
    row = mo.ui.slider(0, W.shape[0] - 1, value=W.shape[0] // 2, label="row: output pixel", show_value=True)
    column = mo.ui.slider(0, W.shape[1] - 1, value=W.shape[1] // 2, label="column: input pixel", show_value=True)
    mo.md(f"""
    ## A row is a picture of what one output pixel sees

    Row $o$ of the matrix has one number for each input pixel, so it *is* an image: the kernel, laid on the place that
    output $o$ looks at. Column $v$ tells the other way round where pixel $v$ is seen.

    {row} {column}
    """)
    return column, row


@app.cell(hide_code=True)
def _(W, column, image_shape, row, side):
    _dense = W.toarray()
    _pictures = [
        (_dense[row.value].reshape(image_shape[1:]), "row: taps on the input", None),
        (np.zeros((side, side)), "that output pixel", divmod(row.value, side)),
        (np.zeros(image_shape[1:]), "an input pixel", divmod(column.value, image_shape[2])),
        (_dense[:, column.value].reshape(side, side), "column: taps on the output", None),
    ]
    _figure = Figure(figsize=(10, 2.9), layout="constrained")
    for _axes, (_image, _title, _place) in zip(_figure.subplots(1, 4), _pictures, strict=True):
        _axes.imshow(_image, cmap="coolwarm", vmin=-W.max(), vmax=W.max())
        for (_y, _x), _value in np.ndenumerate(_image):
            if _value:
                _axes.text(_x, _y, f"{_value:g}", ha="center", va="center", fontsize=9)
        if _place:
            _axes.plot(_place[1], _place[0], "ks", markersize=9)
        _axes.set_xticks(np.arange(-0.5, _image.shape[1]), [])
        _axes.set_yticks(np.arange(-0.5, _image.shape[0]), [])
        _axes.grid(color="0.8")
        _axes.set_title(_title, fontsize=11)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## It is torch's convolution, bit for bit

    Integers up to $2^{53}$ are exact in float64, so with an integer image and an integer kernel there is no rounding
    to excuse: either $W P \operatorname{vec} X$ *is* what torch computes, or the matrix is wrong.
    """)
    return


@app.cell
def _(W, image_shape, mode, numbers, options, padding):
    X = np.random.default_rng(0).integers(-9, 10, image_shape).astype(np.float64)
    amounts, torch_mode = [padding.value] * 4, mode.value.replace("zeros", "constant")
    padded = pad(from_numpy(X)[None], amounts, torch_mode)
    Y = conv2d(padded, from_numpy(numbers), stride=options["stride"], dilation=options["dilation"])
    assert np.array_equal(W @ X.ravel(), Y.numpy().ravel())  # equal, not close
    mo.md(f"Torch and the matrix agree in all {W.shape[0]} outputs, the first of them {(W @ X.ravel())[0]:g}.")
    return (X,)


@app.cell
def _(W, X, image_shape, numbers, options, padding):
    # padding is a matrix of its own, and the product is the whole: W P
    P = pad_matrix(image_shape, [(padding.value, padding.value)] * 2, padding_mode=options["padding_mode"])
    bare = {name: options[name] for name in ("stride", "dilation")}
    W_bare = conv_matrix(numbers, (1, *(n + 2 * padding.value for n in image_shape[1:])), **bare)
    assert np.array_equal((W_bare @ P).toarray(), W.toarray())
    assert np.array_equal(W_bare @ (P @ X.ravel()), W @ X.ravel())
    mo.md(f"$P$ is {P.shape[0]} x {P.shape[1]} with {P.nnz} ones, and $W$ times $P$ is the whole, entry by entry.")
    return


@app.cell(hide_code=True)
def _():
    channels = mo.ui.slider(1, 8, value=4, label="channels in and out", show_value=True)
    mo.md(f"""
    ## Channels: a matrix of such matrices

    A layer with several channels has one block for every pair of an output and an input channel. Here are the
    nonzeros of a 3 x 3 layer on a 14 x 14 image, as a density where there are too many to draw.

    {channels}
    """)
    return (channels,)


@app.cell
def _(channels):
    weight = np.random.default_rng(1).integers(-3, 4, (channels.value, channels.value, 3, 3)).astype(np.float64)
    layer = conv_matrix(weight, (channels.value, 14, 14), padding=1)
    assert layer.nnz == channels.value**2 * (3 * 14 - 2) ** 2  # explicit zeros stay: geometry alone decides
    return (layer,)


@app.cell(hide_code=True)
def _(channels, layer):
    _share = layer.nnz / (layer.shape[0] * layer.shape[1])
    _bytes = layer.data.nbytes + layer.indices.nbytes + layer.indptr.nbytes
    _figure = spy_figure(layer, blocks=(196, 196), title=f"{layer.shape[0]} x {layer.shape[1]}")
    _figure.set_size_inches(5.6, 4.6)
    mo.hstack([
        _figure,
        mo.md(rf"""
        | | |
        |:---|---:|
        | channels | {channels.value} |
        | rows, columns | {layer.shape[0]:,} |
        | stored entries | {layer.nnz:,} |
        | share of all entries | {_share:.1%} |
        | size of the matrix | {_bytes / 2**20:.1f} MiB |
        | size of the kernel | {channels.value**2 * 9 * 8 / 2**10:.1f} KiB |

        The matrix is there for **algebra**: to be multiplied, added and compared. For prediction the convolution
        itself is the better program.
        """),
    ], align="center", widths=[1, 1])  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The proof

    `proofs/p01_toeplitz.py` states this as **Theorem 1** and proves it for the library's own code: with a symbol for
    every tap and every pixel, in one to three dimensions; then it compares random layers (groups, strides, dilations,
    padding) with torch. `proofs/rocq` has it machine-checked for all sizes. A proof that could not fail would be
    worth nothing, so here it is run twice: on `conv_matrix`, and on an impostor that flips the kernel, as a
    mathematician's convolution would.
    """)
    return


@app.cell
def _():
    record = p01_toeplitz.prove()

    def flipped(K, *shape, **options):
        return conv_matrix(np.flip(K, axis=tuple(range(2, K.ndim))), *shape, **options)

    try:
        p01_toeplitz.prove(flipped)
        refuted = ""
    except Refuted as claim:
        refuted = str(claim)
    assert refuted
    return record, refuted


@app.cell(hide_code=True)
def _(record, refuted):
    mo.md(f"""
    | | |
    |:---|:---|
    | proved | {record.theorem} |
    | derived | {record.derived} |
    | compared with torch | {record.instances} random layers |
    | machine-checked as | {", ".join(f"`{name}`" for name in record.rocq)} |
    | the flipped kernel | refuted: {refuted} |

    Next: `02_skip_recursion_expanded.py` multiplies these matrices.
    """)
    return


if __name__ == "__main__":
    app.run()
