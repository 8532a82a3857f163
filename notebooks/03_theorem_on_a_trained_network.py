"""The theorem on a trained network: ten rows of W that are all of it, one matrix product, an exact certificate."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="3. The theorem on a trained network")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from algebraic_cnn import (
        LinearCNN,
        PrimeField,
        SkipRecursion,
        SkipSpec,
        collapse,
        exact_map,
        exact_outputs,
        load_digits,
    )
    from algebraic_cnn.algebra.symbolic import Skeleton
    from algebraic_cnn.apps.plots import rows_figure, skeleton_figure
    from algebraic_cnn.collapsing.measurement import interleaved_seconds
    from algebraic_cnn.homotopy.classifier import Recipe, accuracy, predictions, train
    from proofs import p07_adjoint


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 3. The theorem on a trained network

    Notebook 2 proved that a convolutional network with any skips, but without activations, is one affine map

    $$f^{(L)}(X) \;=\; W X + B .$$

    Here such a network learns to read handwritten digits. Then we throw it away and keep $W$ and $B$: ten images and
    ten numbers, one for each digit. Nothing is lost, and we can say how we know.

    ## Train

    The data are the 1797 digits of 8 x 8 pixels that come with scikit-learn. The network has four convolutions, one
    of them strided, a fully connected layer, and three skips that cross each other, with 1 x 1 convolutions that make
    their shapes fit.
    """)
    return


@app.cell(hide_code=True)
def _():
    epochs = mo.ui.slider(1, 12, value=5, label="epochs", show_value=True, debounce=True)
    channels = mo.ui.slider(2, 16, step=2, value=8, label="channels", show_value=True, debounce=True)
    mo.hstack([epochs, channels], justify="start", gap=2)
    return channels, epochs


@app.cell
def _(channels):
    c = channels.value
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(1, c, 3, padding=1),
        nn.Conv2d(c, c, 3, padding=1),
        nn.Conv2d(c, 2 * c, 3, stride=2, padding=1),
        nn.Conv2d(2 * c, 2 * c, 3, padding=1),
        nn.Linear(2 * c * 16, 10),
    ]
    skips = {edge: SkipSpec(1.0, "conv") for edge in [(0, 2), (1, 3), (2, 4)]}
    untrained = LinearCNN((1, 8, 8), layers, skips)
    return skips, untrained


@app.cell
def _(epochs, untrained):
    from copy import deepcopy

    digits, model = load_digits(), deepcopy(untrained)
    with mo.status.spinner("The network learns to read ..."):
        history = train(model, digits, recipe=Recipe(epochs=epochs.value, batch_size=32, learning_rate=0.01))
    assert epochs.value < 5 or history[-1].accuracy > 0.9
    return digits, history, model


@app.cell(hide_code=True)
def _(history, skips):
    _figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    _axes = _figure.subplots()
    _axes.plot([r.epoch for r in history], [100 * r.accuracy for r in history], "o-", label="read rightly (%)")
    _axes.plot([r.epoch for r in history], [100 * r.loss for r in history], "s--", label="100 x training loss")
    _axes.set(xlabel="epoch", xticks=[r.epoch for r in history])
    _axes.legend(fontsize=8)
    mo.hstack([skeleton_figure(Skeleton.full(5, skips)), _figure], widths=[1.7, 1], align="center")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Collapse

    One call. It traces the network, derives $W$ and $B$ in float64, writes them as one module, and proves, *before it
    hands the module over*, that it is the same function: the network is run modulo random primes, with the very
    rational numbers that its floats are. How that works is the subject of notebook 5.
    """)
    return


@app.cell
def _(digits, model):
    with mo.status.spinner("It is collapsed, and the collapse certified ..."):
        result = collapse(model, digits.test_images[:1], measure=False)
    fast = result.model
    assert result.certificate.ok
    assert result.affine.W.shape == (10, 64)
    return fast, result


@app.cell(hide_code=True)
def _(digits, fast, model, result):
    _count = [sum(p.numel() for p in net.parameters()) for net in (model, fast)]
    _right = [round(accuracy(net, digits.test_images, digits.test_labels) * 360) for net in (model, fast)]
    mo.md(f"""
    | | network | collapsed |
    |:---|---:|---:|
    | calls | {result.report.calls[0]} | 1 matrix |
    | numbers | {_count[0]:,} | {_count[1]:,} |
    | test images read rightly, of 360 | {_right[0]} | {_right[1]} |

    > {result.certificate}
    """)
    return


@app.cell
def _(digits, fast, model):
    # the same answer on every single test image, the wrong ones included
    assert torch.equal(predictions(model, digits.test_images), predictions(fast, digits.test_images))
    return


@app.cell(hide_code=True)
def _(result):
    mo.vstack([
        mo.md(r"""
        ## Look at all of it

        Row $c$ of $W$ has one number for each pixel, so it is a picture: **red** pixels speak for the digit $c$,
        **blue** ones against it. These ten pictures *are* the network. There is nothing else in it.
        """),
        rows_figure(result.affine, labels=range(10)),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(digits, model):
    _wrong = (predictions(model, digits.test_images) != digits.test_labels).nonzero()[:4, 0].tolist()
    which = mo.ui.slider(0, 359, value=12, label="test image", show_value=True)
    mo.md(f"""
    ## Classify with one matrix product

    The score of digit $c$ is the sum, over all pixels, of pixel times weight, plus $B_c$. So a decision can be read
    pixel by pixel: what you read is not an approximation of the network, it *is* the network. It is wrong about the
    images {", ".join(map(str, _wrong))}, for example: see why.

    {which}
    """)
    return (which,)


@app.cell
def _(digits, model, result, which):
    W, B = result.affine.W, result.affine.b
    x = digits.test_images[which.value].double().numpy().ravel()
    scores = W @ x + B
    answer = int(scores.argmax())
    assert answer == int(predictions(model, digits.test_images[which.value : which.value + 1])[0])
    return W, answer, scores, x


@app.cell(hide_code=True)
def _(W, answer, digits, scores, which, x):
    _label, _top = int(digits.test_labels[which.value]), np.abs(W).max()
    _figure = Figure(figsize=(11, 2.9), layout="constrained")
    _axes = _figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.6])
    _axes[0].imshow(x.reshape(8, 8), cmap="Greys")
    _axes[1].imshow(W[answer].reshape(8, 8), cmap="RdBu_r", vmin=-_top, vmax=_top)
    _axes[2].imshow((W[answer] * x).reshape(8, 8), cmap="RdBu_r", vmin=-_top, vmax=_top)
    _axes[3].bar(range(10), scores, color=["tab:red" if c == answer else "0.7" for c in range(10)])
    _titles = (f"the image, a {_label}", f"row {answer} of W", "pixel times weight", f"scores: it reads {answer}")
    for _a, _title in zip(_axes, _titles, strict=True):
        _a.set_title(_title, fontsize=11)
        _a.set_xticks(range(10) if _a is _axes[3] else [])
        _a.set_yticks([])
    _figure
    return


@app.cell
def _(digits, fast, model):
    image = digits.test_images[:1]
    with torch.no_grad():
        seconds = interleaved_seconds({"network": lambda: model(image), "collapsed": lambda: fast(image)}, seconds=0.5)
    ratio = seconds["network"] / seconds["collapsed"]
    mo.md(f"**Time.** For one image the network takes {ratio:.0f} times as long as its collapse, on this machine, now.")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The theorem, read literally, without rounding

    Floats are rational numbers: integers times powers of two. So a trained network has an **exact** $W$ over
    $\mathbb{Q}$. The theorem says what its columns are: put the unit vectors $e_j$ in, and subtract $B = f(0)$,

    $$W e_j \;=\; f(e_j) - f(0) .$$

    Both sides, in exact fractions, for the pixels of one row of the image:
    """)
    return


@app.cell
def _(digits, model):
    exact = exact_map(model, digits.test_images[:1])  # by the adjoint: one backward pass per class
    units = torch.eye(64)[24:32].reshape(8, 1, 8, 8)
    zero = torch.zeros(1, 1, 8, 8)
    columns = exact_outputs(model, units) - exact_outputs(model, zero)  # by running the network on unit vectors
    assert (exact.W[:, 24:32] == columns.T).all()  # fractions: equal means equal
    return (exact,)


@app.cell(hide_code=True)
def _(exact):
    _entry = exact.W[3, 28]
    _digits = str(abs(_entry.numerator))
    _sign, _power = "-" if _entry < 0 else "", _entry.denominator.bit_length() - 1
    mo.md(rf"""
    They are equal. Entry $W_{{3,28}}$, for example, is

    $${_sign}\frac{{{_digits[:12]} \ldots {_digits[-12:]}}}{{2^{{{_power}}}}} \;\approx\; {float(_entry):.17g},$$

    a numerator of {len(_digits)} digits: what the network *means*, before any arithmetic rounds it.
    """)
    return


@app.cell
def _(digits, exact, model, result, skips):
    recursion = SkipRecursion.from_torch(model, digits.test_images[:1])  # the paper's recursion, read off the trace
    field = PrimeField(1_000_003)
    assert recursion.collapse(field).exactly_equals(recursion.adjoint(field))  # modulo a prime nothing is rounded
    assert len(recursion.layers) == len(model.layers) + len(skips)  # a convolution in a skip is a layer of its own

    by_forward, by_adjoint = recursion.collapse(), recursion.adjoint()
    nearest = np.vectorize(float)(exact.W)
    errors = {
        "forward: one pass per pixel": np.abs(by_forward.to("dense").W - nearest).max(),
        "adjoint: one pass per class": np.abs(by_adjoint.to("dense").W - nearest).max(),
        "what collapse gave": np.abs(result.affine.W - nearest).max(),
    }
    return errors, recursion


@app.cell(hide_code=True)
def _(errors, recursion, skips):
    _rows = [f"| {name} | {error:.1e} |" for name, error in errors.items()]
    mo.md("\n".join([
        f"The recursion, read off the network's calls, has {len(recursion.layers)} layers: the five that the picture "
        f"above shows, and the 1 x 1 convolutions inside the {len(skips)} skips, which are calls like others. It has "
        f"{recursion.count_paths()} paths. Modulo the prime two derivations are equal; in float64 they are off the "
        "exact $W$ by rounding, at most by:", "",
        "| derivation | largest error |", "|:---|---:|", *_rows,
    ]))  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    record = p07_adjoint.prove()
    assert record.rocq
    mo.md(f"""
    ## The proofs

    `proofs/p03_collapse.py` is the theorem, `proofs/p04_uniqueness.py` says that $W$ and $B$ are unique, so that
    "the" collapse makes sense, and `proofs/p07_adjoint.py` is the shortcut from the other end, run just now:
    *{record.theorem}* ({record.instances} random networks, exactly; in Rocq as {", ".join(f"`{name}`" for name in
    record.rocq)}).

    Next: `04_borders.py`, on the trap at the edge of the image.
    """)
    return


if __name__ == "__main__":
    app.run()
