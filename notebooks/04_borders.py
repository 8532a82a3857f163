"""Borders: why one big kernel is wrong at the edge of the image, by how much, and which forms are exact there."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="4. Borders")

with app.setup(hide_code=True):
    from functools import reduce

    import marimo as mo
    import numpy as np
    import sympy
    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from algebraic_cnn import certify, collapse, load_digits
    from algebraic_cnn.algebra.operators.layers import conv
    from algebraic_cnn.algebra.symbolic import Polynomials, symbol_array
    from proofs import p08_stencils, p09_single
    from proofs.p08_stencils import Geometry, composed
    from proofs.p09_single import conditions


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 4. Borders

    Everybody knows that two 3 x 3 convolutions in a row are one 5 x 5 convolution. Its kernel is the product of the
    two kernels, read as polynomials in the shifts $z$:

    $$K(z) = K_2(z)\, K_1(z), \qquad K[u] \;=\; \sum_{a + b = u} K_2[a]\, K_1[b] .$$

    In the **middle** of the image that is true. At its **edge** it is false as soon as the second layer pads. The
    second layer sees *zeros* outside of the first layer's output. The big kernel sees what the first layer *would
    have computed* there, from the pixels of the image that its window still touches. These places that were never
    computed we call **phantom pixels**.

    Many tools that merge layers get this wrong. It cannot be seen in a toy test on the middle of an image.

    ## Two layers on a line, in letters

    Five pixels, kernels $b_0 b_1 b_2$ first and $a_0 a_1 a_2$ second; choose how much each of them pads with zeros.
    """)
    return


@app.cell(hide_code=True)
def _():
    p1 = mo.ui.slider(0, 2, value=1, label="padding of layer 1", show_value=True)
    p2 = mo.ui.slider(0, 2, value=1, label="padding of layer 2", show_value=True)
    mo.hstack([p1, p2], justify="start", gap=2)
    return p1, p2


@app.cell
def _(p1, p2):
    geometry = Geometry(n=(5,), m1=(3,), m2=(3,), s1=(1,), s2=(1,), p1=(p1.value,), p2=(p2.value,))
    K1, K2 = symbol_array("b", (3,))[None, None], symbol_array("a", (3,))[None, None]
    ring = Polynomials.of(K1, K2)  # all that follows is exact: every entry is a polynomial in the taps
    M = p08_stencils.matrices(geometry, K1, K2, ring)
    two = ring.matmul(M["T2"], M["T1"])  # the two layers, as they are
    one = p08_stencils.single(geometry, composed(K2, K1, (1,)), ring)  # the big kernel, with the padding p1 + p2
    missing = two - one
    return M, geometry, missing, one, ring, two


@app.cell(hide_code=True)
def _(missing, one, ring):
    _T, _difference = (sympy.Matrix(ring.to_sympy(matrix)) for matrix in (one, missing))
    _agree = "They agree:" if _difference.is_zero_matrix else "They differ in the rows that are not zero:"
    mo.vstack([
        mo.md(rf"The big kernel is $T = {sympy.latex(_T)}$.").style(font_size="85%", overflow_x="auto"),
        mo.md(rf"{_agree} $\;T_2 T_1 - T = {sympy.latex(_difference)}$.").style(font_size="85%", overflow_x="auto"),
    ])  # fmt: skip
    return


@app.cell
def _(M, geometry, missing, ring):
    # Theorem 8: V is the second layer on all pixels, phantoms included; Z the first layer, computed at phantoms too;
    # T2 T1 - T = - V (1 - P P^T) Z, where 1 - P P^T keeps the phantoms
    phantoms = np.diag(1 - ring.matmul(M["P"], M["P"].T).diagonal())
    assert (missing == -ring.matmul(M["V"], ring.matmul(phantoms, M["Z"]))).all()

    # Theorem 9: and whether anything differs can be told from the geometry alone
    linear_agrees, constant_agrees = conditions(geometry)
    assert linear_agrees == (not missing.any())
    return constant_agrees, linear_agrees


@app.cell(hide_code=True)
def _(constant_agrees, linear_agrees):
    mo.md(f"""
    **What to notice.** The error is *minus* what the phantoms would have contributed. With all padding in the first
    layer ($p_2 = 0$) there are no phantoms, and the big kernel is right. The theorem says of your choice: the linear
    parts **{"agree" if linear_agrees else "differ"}**, the constant parts (what biases make) **{"agree" if
    constant_agrees else "differ"}**.

    ## On an image: how far the damage reaches

    A chain of 3 x 3 layers, each padded by one zero, against the one big kernel. The weights are integers, so where
    the difference is shown as zero it *is* zero.
    """)
    return


@app.cell(hide_code=True)
def _():
    layers = mo.ui.slider(2, 6, value=3, label="layers", show_value=True)
    size = mo.ui.slider(8, 28, value=16, label="image", show_value=True)
    biased = mo.ui.checkbox(value=True, label="biases")
    mo.hstack([layers, size, biased], justify="start", gap=2)
    return biased, layers, size


@app.cell
def _(biased, layers):
    generator = np.random.default_rng(3)
    kernels = [generator.choice([-2.0, -1.0, 1.0, 2.0], (1, 1, 3, 3)) for _ in range(layers.value)]
    biases = [generator.integers(5, 20, 1) * float(biased.value) for _ in kernels]

    # a convolution is a map of images of EVERY size, and so is what comes out when they are composed with @
    pairs_of = zip(kernels, biases, strict=True)
    network = reduce(lambda f, g: g @ f, [conv(K, b, padding=1) for K, b in pairs_of])
    big = reduce(lambda K, K_next: composed(K_next, K, (1, 1)), kernels).astype(float)  # of size 2 L + 1
    return big, network


@app.cell
def _(big, layers, network, size):
    n = size.value
    chain = network.at(n, n)  # W and b of one size
    inner_bias = chain.b[[(n // 2) * n + n // 2]] if n > 2 * layers.value else np.zeros(1)
    merged = conv(big, inner_bias, padding=layers.value).at(n, n)
    return chain, merged, n


@app.cell
def _(big, chain, layers, merged, n):
    pixels = np.arange(n) * 8 // n  # a handwritten 0 of 8 x 8 pixels, enlarged, dark on white
    x = 16 - 16 * load_digits().test_images[12].double().numpy()[:, pixels][:, :, pixels]
    truth, wrong = chain(x)[0], merged(x)[0]
    from_bias = (merged.b - chain.b).reshape(n, n)  # what is wrong even for a black image
    from_image = wrong - truth - from_bias  # what depends on the image: there without any bias
    inside = slice(layers.value - 1, n - layers.value + 1)
    assert not from_image[inside, inside].any()  # in the middle: nothing, to the last bit
    assert from_image.any()  # at the border: something
    assert big.shape == (1, 1, 2 * layers.value + 1, 2 * layers.value + 1)
    return from_bias, from_image, truth, wrong


@app.cell(hide_code=True)
def _(from_bias, from_image, truth, wrong):
    _scale = np.abs(truth).max()
    _pictures = {
        "the network": truth,
        "one big kernel": wrong,
        "wrong because of the image": from_image,
        "wrong because of the biases": from_bias,
    }
    _figure = Figure(figsize=(11, 3.0), layout="constrained")
    for _axes, (_title, _image) in zip(_figure.subplots(1, 4), _pictures.items(), strict=True):
        _shown = _axes.imshow(_image / _scale, cmap="RdBu_r", vmin=-1, vmax=1)
        _axes.set(xticks=[], yticks=[])
        _axes.set_title(_title, fontsize=11)
    _figure.colorbar(_shown, shrink=0.8, label="share of the largest |output|")
    _error = np.abs(wrong - truth)
    mo.vstack([
        _figure,
        mo.md(f"The big kernel is off by up to **{_error.max() / _scale:.0%}** of the largest output, in "
              f"**{(_error > 0).mean():.0%}** of all pixels."),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **Two effects, not one.** Each layer's zeros cut off what the layer before would have said about the outside: that
    depends on the image, and no bias is needed for it. And a bias makes the inside of an intermediate image different
    from the zeros around it: that is there even for a black image. The first cannot be repaired by any change of the
    bias or of the padding value.

    ## How many kernels there really are

    So what *is* the chain, if not one convolution? Along each axis it is a **rule**: for every length $n$ it says what
    each output does. Output $p$ has a **class** $c(p)$, what it does, and an **anchor** $a(p)$, from where it counts:

    $$(f x)_p \;=\; \sum_{o} K_{c(p)}[o]\; x_{a(p) + o} + b_{c(p)} .$$

    No size is written in the classes. If $g$ comes after $f$, then row $p$ of $g f$ reads outputs $j$ of $f$, and its
    class is a finite word: the class in $g$, and of each $j$ the class in $f$ with its anchor, counted from its own,

    $$\bigl(c_g(p),\; (c_f(j),\, a_f(j) - a(p))_j\bigr) .$$

    So a composition is such a rule again, with finitely many classes for *all* sizes. Matrices like that are called
    quasi-Toeplitz: equal along the diagonals, but for the ends. (Bini, Massei, Robol 2019)
    """)
    return


@app.cell
def _(layers, n, network):
    down, across = (axis.rows(n).classes for axis in network.blocks.axes)  # the class of every row, of every column
    classes = np.array(down)[:, None] * (max(across) + 1) + np.array(across)
    many = 4 * layers.value + 8
    expected = np.prod(network.classes(many, many))
    assert expected == (2 * layers.value + 1) ** 2 == np.prod(network.classes(many + 100, many + 100))
    return classes, expected


@app.cell
def _(chain, classes, layers, n):
    # the same, found without any theory: pixels of one class see one kernel, the row of W laid around them
    rows = chain.W.toarray().reshape(n, n, n, n)
    seen = {}
    for y, x_ in np.ndindex(n, n):
        window = np.pad(rows[y, x_], layers.value)[y : y + 2 * layers.value + 1, x_ : x_ + 2 * layers.value + 1]
        seen.setdefault(int(classes[y, x_]), set()).add(window.tobytes())
    assert all(len(kernels_of_a_class) == 1 for kernels_of_a_class in seen.values())
    return


@app.cell(hide_code=True)
def _(classes, expected, layers, n):
    _numbers = np.unique(classes, return_inverse=True)[1].reshape(n, n)
    _order = np.random.default_rng(0).permutation(_numbers.max() + 1)
    _figure = Figure(figsize=(3.6, 3.6), layout="constrained")
    _axes = _figure.subplots()
    _axes.imshow(_order[_numbers], cmap="turbo")
    _axes.set(xticks=[], yticks=[])
    _axes.set_title(f"{_numbers.max() + 1} classes of {n} x {n} pixels", fontsize=11)
    mo.hstack([_figure, mo.md(rf"""
    Every pixel in the colour of its class. In the middle, one for all. Near the border, one for each distance to each
    side: with $L = {layers.value}$ layers $(2L + 1)^2 = {expected}$, **and no more on a larger image**. Move the size
    of the image and see the middle grow while the border stays.

    The whole matrix, for every image size, is this finite table of kernels: `network.at(n, n)` above only lays it out.
    """)], widths=[1, 1.6], align="center")  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mode = mo.ui.dropdown(["zeros", "reflect", "replicate", "circular"], value="circular", label="outside of the image")
    mo.vstack([mo.md(r"""
    ## Other borders, the same words

    What lies outside need not be zero. A reflection or a copy of the last pixel only gives other taps at the ends; a
    circle reads at the *other* end, so a read is counted from the anchor, from the first input, or from the last.
    Two layers with three taps on a line, the first with the border that you choose, the second padded with zeros:
    """), mode])  # fmt: skip
    return (mode,)


@app.cell
def _(mode):
    line = conv(np.array([[[1.0, 2.0, 3.0]]]), padding=1, padding_mode=mode.value)
    line = conv(np.array([[[1.0, 1.0, 2.0]]]), padding=1) @ line
    forms = {length: line.form([length]) for length in (8, 13)}
    assert len({(form.kind, form.axes[0].told[0], m - form.axes[0].told[1]) for m, form in forms.items()}) == 1
    return forms, line


@app.cell(hide_code=True)
def _(forms, line):
    _figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    _panels = _figure.subplots(1, 2, width_ratios=list(forms))
    for _axes, _length in zip(_panels, forms, strict=True):
        _W, _classes = line.matrix([_length], format="dense"), np.array(line.blocks.axes[0].rows(_length).classes)
        _axes.imshow(np.where(_W != 0, _classes[:, None] % 10, np.nan), cmap="tab10", vmin=0, vmax=9)
        for (_p, _i), _entry in np.ndenumerate(_W):
            if _entry:
                _axes.text(_i, _p, f"{_entry:g}", ha="center", va="center", color="white", fontsize=8)
        _axes.set(xticks=[], yticks=[], xlabel="input", ylabel="output")
        _axes.set_title(f"W for n = {_length}", fontsize=11)
    _first, _stop = forms[13].axes[0].told
    mo.vstack([_figure, mo.md(f"""
    One colour for one class, the same at both sizes: {line.classes(13)[0]} classes. **Is it one convolution?** That is
    a question to the rows: those that are the row of the middle, cut off at the ends of the image, are its. Here
    outputs {_first} to {_stop - 1} of 13 are, so the form is "{forms[13].kind}".
    """)])  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What `collapse` does about it

    It merges only where the merged form is exact in *every* pixel, and it proves that. Five pairs of layers, and what
    becomes of them on a 64 x 64 image:
    """)
    return


@app.cell
def _():
    torch.manual_seed(0)
    pairs = {
        "3 x 3, 3 x 3, both padded": nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1)),
        "the same, through 64 channels": nn.Sequential(nn.Conv2d(2, 64, 3, padding=1), nn.Conv2d(64, 2, 3, padding=1)),
        "3 x 3, 3 x 3, only the first padded": nn.Sequential(nn.Conv2d(2, 32, 3, padding=2), nn.Conv2d(32, 2, 3)),
        "1 x 1 with bias, 3 x 3 padded": nn.Sequential(nn.Conv2d(2, 8, 1), nn.Conv2d(8, 2, 3, padding=1)),
        "1 x 1 without, 3 x 3 padded": nn.Sequential(nn.Conv2d(2, 8, 1, bias=False), nn.Conv2d(8, 2, 3, padding=1)),
    }
    with mo.status.spinner("Five pairs are collapsed ..."):
        results = {name: collapse(net.eval(), torch.zeros(1, 2, 64, 64), measure=False) for name, net in pairs.items()}
    assert all(result.certificate.ok for result in results.values())
    return pairs, results


@app.cell(hide_code=True)
def _(results):
    _lines = [
        f"| {name} | {', '.join(region.form for region in result.report.regions)} | {region.reason} |"
        for name, result in results.items()
        for region in result.report.regions
    ]
    mo.md("\n".join(["| layers | became | why |", "|:---|:---|:---|", *_lines]) + """

    A *bias map* is one number per pixel instead of one per channel: it is what a bias before padding really adds, at
    the border too. Where the linear part itself has a border, the big kernel may still compute the inside, and the
    two layers as they were the strips around it. That is exact, and done where it pays; else the pair stays as it
    was.

    ## The tempting mistake, certified

    Now make the mistake on purpose: the first pair as one 5 x 5 convolution, and let `certify` look.
    """)
    return


@app.cell
def _(pairs):
    first, second = pairs["3 x 3, 3 x 3, both padded"]
    tempting = nn.Conv2d(2, 2, 5, padding=2).eval()
    with torch.no_grad():
        kernel = composed(second.weight.double().numpy(), first.weight.double().numpy(), (1, 1)).astype(float)
        tempting.weight.copy_(torch.from_numpy(kernel))
        tempting.bias.copy_(second.bias + second.weight.sum((2, 3)) @ first.bias)

    picture = torch.rand(1, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    difference = (tempting(picture) - pairs["3 x 3, 3 x 3, both padded"](picture)).abs().detach()
    certificate = certify(pairs["3 x 3, 3 x 3, both padded"], tempting, picture, level="bounded", points=2)
    assert not certificate.ok
    assert difference.amax() > certificate.bound  # far beyond rounding
    return certificate, difference


@app.cell(hide_code=True)
def _(certificate, difference):
    _figure = Figure(figsize=(3.8, 3.0), layout="constrained")
    _axes = _figure.subplots()
    _shown = _axes.imshow(difference[0].amax(0).numpy(), cmap="Reds")
    _figure.colorbar(_shown, label="|difference|")
    _axes.set(xticks=[], yticks=[])
    _text = str(certificate).split(" (Independent")[0]
    mo.hstack([_figure, mo.md(f"""
    > {_text}

    Observed **{certificate.observed:.2g}**, where rounding explains at most **{certificate.bound:.1g}**. The picture
    shows where: on a frame, one pixel wide. A test that looks at the mean error, or at the middle, would not have
    seen it.
    """)], widths=[1, 1.6], align="center")  # fmt: skip
    return


@app.cell
def _():
    with mo.status.spinner("Two theorems are proved ..."):
        records = [p08_stencils.prove(), p09_single.prove()]
    assert all(record.rocq for record in records)
    return (records,)


@app.cell(hide_code=True)
def _(records):
    _rows = [f"| {r.theorem} | {r.derived} | {', '.join(f'`{lemma}`' for lemma in r.rocq)} |" for r in records]
    mo.md("\n".join([
        "## The proofs", "",
        "`proofs/p08_stencils.py` and `proofs/p09_single.py`, run just now, strides and paddings included;",
        "`closure` is the theorem about classes:", "",
        "| theorem | derived | in Rocq |", "|:---|:---|:---|", *_rows, "",
        "Next: `05_how_do_we_know.py`, on what it takes to be sure.",
    ]))  # fmt: skip
    return


if __name__ == "__main__":
    app.run()
