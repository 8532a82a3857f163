"""Piecewise linear: the exact affine map of a ReLU network around an input, and the region on which it is that map."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="7. Piecewise linear")

with app.setup(hide_code=True):
    from fractions import Fraction
    from itertools import pairwise

    import marimo as mo
    import numpy as np
    import torch
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Polygon
    from sklearn.datasets import make_moons
    from torch import nn

    from algebraic_cnn import load_digits, local_affine_map
    from algebraic_cnn.apps.plots import rows_figure
    from algebraic_cnn.homotopy.classifier import Recipe, predictions, train
    from algebraic_cnn.models.data import Dataset
    from proofs import p12_gated
    from proofs.record import Refuted


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 7. Piecewise linear

    The theorem needs a network without activations. But look closer at a ReLU: it lets a number pass or replaces it
    by zero. It *multiplies by 1 or by 0*, and the only nonlinear thing is which. For one given input $x$ every unit
    has decided; write the decisions after layer $i$ as a diagonal matrix $D^{(i)}(x)$ of zeros and ones. Then the
    network is a linear CNN,

    $$f^{(i)} \;=\; D^{(i)}(x)\,\Big( W^{(i)} P^{(i)} \sum_k t^{(k,i-1)} R^{(k,i-1)} f^{(k)} + B^{(i)} \Big),$$

    and Theorem 3.1 collapses it: $f(x') = W(x)\, x' + B(x)$, **exactly**, for every $x'$ on which the units decide in
    the same way. These $x'$ form a region with flat walls, one for each unit:

    $$\{\, z \;:\; A z + c \ge 0 \,\}.$$

    A ReLU network is a mosaic of affine maps.

    ## The mosaic, seen

    With two inputs one can see it. Twelve and eight ReLUs learn to tell two half-moons apart; every tile below is one
    region, each with its own $W(x)$ and $B(x)$. Move the point.
    """)
    return


@app.cell
def _():
    points, labels = (torch.from_numpy(array) for array in make_moons(400, noise=0.1, random_state=0))
    points = points.float()
    moons = Dataset(points[:300], labels[:300], points[300:], labels[300:], "moons")
    torch.manual_seed(0)
    planar = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2))
    with mo.status.spinner("A small network learns two moons ..."):
        history = train(planar, moons, recipe=Recipe(epochs=20, batch_size=25, learning_rate=0.1, weight_decay=0.0))
    assert history[-1].accuracy > 0.9
    return labels, planar, points


@app.cell(hide_code=True)
def _():
    x1 = mo.ui.slider(-1.5, 2.5, step=0.125, value=0.5, label="$x_1$", show_value=True)
    x2 = mo.ui.slider(-1.0, 1.5, step=0.125, value=0.375, label="$x_2$", show_value=True)
    mo.hstack([x1, x2], justify="start", gap=2)
    return x1, x2


@app.cell
def _(planar, x1, x2):
    x = torch.tensor([[x1.value, x2.value]])
    region = local_affine_map(planar, x)
    assert region.contains(x)
    A, c = region.halfspaces()
    assert A.shape == (20, 2)  # one wall for each unit; most of them are elsewhere
    return A, c, region, x


@app.cell
def _(planar, region, x):
    def exactly(z):
        """The network at z in fractions: no rounding anywhere."""
        value = np.array([Fraction(float(number)) for number in z.ravel()])
        for layer in planar:
            if isinstance(layer, nn.Linear):
                W, b = (np.vectorize(Fraction)(p.detach().double().numpy()) for p in (layer.weight, layer.bias))
                value = W @ value + b
            else:
                value = np.maximum(value, Fraction(0))
        return value

    local = region.exact()  # W(x) and B(x) as fractions
    for direction in ([0.0, 0.0], [0.5, 0.0], [-0.25, 0.75], [0.5, -0.5]):
        z = x.double() + region.radius() * torch.tensor(direction)
        assert region.contains(z)
        assert (local.W @ [Fraction(float(number)) for number in z.ravel()] + local.b == exactly(z)).all()
    return


@app.function(hide_code=True)
def corners(A, c, extent):
    """The corners of the polygon A z + c >= 0 in a rectangle, which one half-plane after another cuts."""
    left, right, bottom, top = extent
    polygon = [np.array(p) for p in [(left, bottom), (right, bottom), (right, top), (left, top)]]
    for a, offset in zip(A, c, strict=True):
        kept = []
        for p, q in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
            u, v = a @ p + offset, a @ q + offset
            if u >= 0:
                kept.append(p)
            if u * v < 0:
                kept.append(p + (q - p) * u / (u - v))
        polygon = kept
    return polygon


@app.cell(hide_code=True)
def _(A, c, labels, planar, points, region, x):
    _xs, _ys = np.meshgrid(np.linspace(-1.6, 2.6, 280), np.linspace(-1.1, 1.6, 180))
    _grid = torch.from_numpy(np.stack([_xs.ravel(), _ys.ravel()], 1)).float()
    with torch.no_grad():
        _first = planar[0](_grid)
        _second = planar[2](_first.relu())
        _signs = torch.cat([_first > 0, _second > 0], 1).numpy()
        _score = planar(_grid)
    _tiles = np.unique(_signs, axis=0, return_inverse=True)[1].reshape(_xs.shape)
    _colours = np.random.default_rng(1).permutation(_tiles.max() + 1)
    _figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    _axes = _figure.subplots()
    _extent = (-1.6, 2.6, -1.1, 1.6)
    _axes.imshow(_colours[_tiles], cmap="Pastel1", origin="lower", extent=_extent, interpolation="nearest")
    _axes.contour(_xs, _ys, (_score[:, 1] - _score[:, 0]).numpy().reshape(_xs.shape), levels=[0], colors="k")
    _axes.scatter(*points[:150].T, c=labels[:150], cmap="coolwarm", s=9)
    _axes.add_patch(Polygon(corners(A, c, _extent), facecolor="none", edgecolor="tab:red", linewidth=2.5))
    _axes.add_patch(Circle(x[0].tolist(), region.radius(), facecolor="none", edgecolor="tab:red", linestyle=":"))
    _axes.plot(*x[0], "r*", markersize=13)
    _axes.set(xticks=[], yticks=[], title=f"{_tiles.max() + 1} regions in view; black: where the network is undecided")
    _W, _b = region.affine.W, region.affine.b
    mo.vstack([
        mo.center(_figure),
        mo.md(rf"""
        In the red tile the network is $\;f(z) = \begin{{bmatrix}} {_W[0, 0]:.3f} & {_W[0, 1]:.3f} \\ {_W[1, 0]:.3f} &
        {_W[1, 1]:.3f} \end{{bmatrix}} z + \begin{{bmatrix}} {_b[0]:.3f} \\ {_b[1]:.3f} \end{{bmatrix}}$, at least as
        far as the dotted circle of radius
        {region.radius():.3f} reaches.
        """),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **What to notice.** The line of indecision is bent exactly where it goes from one tile to the next, and straight
    inside. And the equality is not approximate: the cell above ran the network in fractions at points of the tile,
    and the affine map in fractions, and found them equal. Which units are open is decided by exact signs as well.

    ## A network that reads digits

    Convolutions with strides and ReLUs, on 8 x 8 pixels. Its regions are polytopes in 64 dimensions, with a few
    hundred walls.
    """)
    return


@app.cell
def _():
    digits = load_digits()
    torch.manual_seed(0)
    reader = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(128, 10)),
    )
    with mo.status.spinner("A network learns to read ..."):
        learned = train(reader, digits, recipe=Recipe(epochs=4, batch_size=48, learning_rate=0.05))
    assert learned[-1].accuracy > 0.85
    return digits, reader


@app.cell(hide_code=True)
def _():
    which = mo.ui.slider(0, 359, value=12, label="test image", show_value=True)
    which
    return (which,)


@app.cell
def _(digits, reader, which):
    image = digits.test_images[which.value : which.value + 1]
    tile = local_affine_map(reader, image)
    assert tile.contains(image)
    pixels = image.double().numpy().ravel()
    scores = tile.affine.W @ pixels + tile.affine.b
    answer = int(scores.argmax())
    assert answer == int(predictions(reader, image)[0])
    return answer, image, pixels, scores, tile


@app.cell(hide_code=True)
def _(answer, digits, image, pixels, tile, which):
    _figure = Figure(figsize=(7.5, 2.6), layout="constrained")
    _row = tile.affine.W[answer]
    _top = np.abs(_row).max()
    _parts = [(image[0, 0].numpy(), "Greys", None), (_row, "RdBu_r", _top), (_row * pixels, "RdBu_r", _top)]
    _label = int(digits.test_labels[which.value])
    _titles = (f"a {_label}, read as {answer}", f"row {answer} of W(x)", "pixel times weight")
    for _axes, (_part, _map, _scale), _title in zip(_figure.subplots(1, 3), _parts, _titles, strict=True):
        _axes.imshow(np.reshape(_part, (8, 8)), cmap=_map, vmin=None if _scale is None else -_scale, vmax=_scale)
        _axes.set(xticks=[], yticks=[])
        _axes.set_title(_title, fontsize=11)
    mo.vstack([
        mo.md("The ten rows of $W(x)$ *for this image*. In another image the network looks for something else."),
        rows_figure(tile.affine, labels=range(10)),
        mo.center(_figure),
    ])  # fmt: skip
    return


@app.cell
def _(answer, scores, tile):
    # inside the tile the decision changes only where two scores of the affine map cross
    gaps = np.delete(scores[answer] - scores, answer)
    slopes = np.linalg.norm(np.delete(tile.affine.W[answer] - tile.affine.W, answer, axis=0), axis=1)
    distance = float((gaps / slopes).min())
    safe = min(distance, tile.radius())
    assert 0 < safe <= distance
    return distance, safe


@app.cell(hide_code=True)
def _(answer, distance, safe, tile):
    mo.md(f"""
    ## What this is good for

    | | |
    |:---|---:|
    | walls of the tile | {len(tile.halfspaces()[0])} |
    | largest ball around the image inside the tile | {tile.radius():.5f} |
    | largest change of every pixel inside the tile | {tile.radius("linf"):.5f} |
    | distance to another answer, for the affine map | {distance:.5f} |
    | **no change smaller than this makes it read anything but {answer}** | **{safe:.5f}** |

    In such a ball the network's answer cannot change, whatever is done to the image. It is a small ball, for the
    walls are many; but it covers every change of that size, where a search for bad examples covers those that it
    tries. (Radius and distance are computed in float64.)
    """)
    return


@app.cell(hide_code=True)
def _():
    to = mo.ui.slider(0, 359, value=31, label="walk to test image", show_value=True)
    place = mo.ui.slider(0, 1, step=0.01, value=0.05, label="place on the way", show_value=True)
    mo.md(f"""
    ## A walk through the mosaic

    From this image to another one in a straight line. The scores are broken lines; a bend is a wall. The dashed line
    is the affine map at the place where you stand: it *is* the network, from one wall to the next.

    {to} {place}
    """)
    return place, to


@app.cell
def _(answer, digits, image, place, reader, to):
    goal = digits.test_images[to.value : to.value + 1]
    steps = torch.linspace(0, 1, 401)[:, None, None, None]
    with torch.no_grad():
        way = image + steps * (goal - image)
        walk = reader(way)[:, answer]
        opened = [layer > 0 for layer in (reader[0](way), reader[2](reader[1](reader[0](way))))]
    signs = torch.cat([layer.flatten(1) for layer in opened], 1)
    walls = [n for n, (a, b) in enumerate(pairwise(signs)) if not torch.equal(a, b)]

    here = round(400 * place.value)
    standing = local_affine_map(reader, way[here : here + 1])
    assert standing.contains(way[here])
    tangent = standing.affine(way.double())[:, answer]
    return here, tangent, walk, walls


@app.cell(hide_code=True)
def _(answer, here, tangent, walk, walls):
    _s = np.linspace(0, 1, 401)
    _figure = Figure(figsize=(10, 3.4), layout="constrained")
    _axes = _figure.subplots()
    for _n in walls:
        _axes.axvline((_s[_n] + _s[_n + 1]) / 2, color="0.88", linewidth=0.8)
    _axes.plot(_s, walk.numpy(), label=f"score of {answer}")
    _axes.plot(_s, tangent.numpy(), "--", label="the affine map here")
    _axes.plot(_s[here], walk[here], "r*", markersize=12)
    _low, _high = float(walk.min()), float(walk.max())
    _axes.set(xlabel="place on the way", ylim=(_low - 2, _high + 2), xlim=(0, 1))
    _axes.set_title(f"at least {len(walls)} walls met", fontsize=11)
    _axes.legend()
    _figure
    return


@app.cell
def _():
    record = p12_gated.prove()

    def open_gates(f, gates):  # an impostor: it forgets that closed units are closed
        return f

    try:
        p12_gated.prove(open_gates)
        refuted = ""
    except Refuted as claim:
        refuted = str(claim)
    assert refuted
    return record, refuted


@app.cell(hide_code=True)
def _(record, refuted):
    mo.md(f"""
    ## The proof

    `proofs/p12_gated.py`: *{record.theorem}*. Derived: {record.derived}; tried on {record.instances} random networks
    in fractions; in Rocq as {", ".join(f"`{lemma}`" for lemma in record.rocq)}. An impostor that leaves all gates
    open is refuted: "{refuted}".

    This was the last notebook. The first one is `01_convolution_is_a_matrix.py`; the theory in one page is
    `proofs/TRUST.md` and the files that it names.
    """)
    return


if __name__ == "__main__":
    app.run()
