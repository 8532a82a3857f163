"""Homotopy: fade the skips and the activations of a trained ResNet, watch accuracy and depth; steps that adapt."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="6. Homotopy")

with app.setup(hide_code=True):
    from copy import deepcopy
    from itertools import pairwise

    import marimo as mo
    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from algebraic_cnn import collapse, load_digits
    from algebraic_cnn.errors import HomotopyError
    from algebraic_cnn.homotopy import (
        Adaptive,
        Cosine,
        Exponential,
        Linear,
        Step,
        find_activations,
        find_skips,
        remove_activations,
        remove_skips,
        sensitivity,
        set_skip_strength,
        skip_strengths,
        train,
        with_activation_strength,
        with_skip_strength,
    )
    from algebraic_cnn.homotopy.classifier import Recipe, accuracy, predictions
    from algebraic_cnn.models.resnet import BasicBlock


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 6. Homotopy

    The theorem collapses what is linear. A real ResNet has activations, and between two of them only a few layers can
    be merged; its skips must be computed and added at every prediction. Could one train a ResNet and **then take its
    skips away**?

    Cut them off, and the network is ruined. Fade them, and it adapts: multiply every skip by a strength $t$,

    $$x \;\mapsto\; \operatorname{act}\big(\operatorname{main}(x) + t \cdot \operatorname{skip}(x)\big),$$

    and move $t$ from 1 to 0 while training goes on. At $t = 0$ nothing is left of the skips, and they need not be
    computed. That is a *homotopy*: a path of networks from one that trains well to one that predicts fast. The same
    works for activations,

    $$\operatorname{act}_s(x) \;=\; s\,x + (1 - s) \operatorname{act}(x), \qquad s \text{ from } 0 \text{ to } 1,$$

    and where an activation has become linear, its neighbours collapse into one.

    ## A small ResNet on the digits
    """)
    return


@app.cell
def _():
    torch.manual_seed(0)
    resnet = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        BasicBlock(8, 8, 1, linear=False, skip_strength=1.0),
        BasicBlock(8, 16, 2, linear=False, skip_strength=1.0),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    )
    digits = load_digits()
    example = digits.train_images[:2]
    skips, activations = find_skips(resnet, example), find_activations(resnet, example)
    assert [skip.kind for skip in skips] == ["identity", "projected"]
    assert len(activations) == 5
    return activations, digits, example, resnet, skips


@app.cell(hide_code=True)
def _(activations, skips):
    _skips = [f"| `{skip.name}` | {skip.kind} | {skip.layers} |" for skip in skips]
    mo.hstack([
        mo.md("\n".join(["| skip around | kind | layers skipped |", "|:---|:---|---:|", *_skips])),
        mo.md("Both are found by tracing, in any model: no names need to be given. The activations are "
              + ", ".join(f"`{a.name}`" for a in activations) + "."),
    ], widths=[1, 1.4], align="center")  # fmt: skip
    return


@app.cell
def _(digits, example, resnet):
    trained = with_activation_strength(with_skip_strength(resnet, example), example)  # t = 1, s = 0
    recipe = Recipe(epochs=4, batch_size=48, learning_rate=0.1)
    with mo.status.spinner("The ResNet learns to read ..."):
        first = train(trained, digits, recipe=recipe)
    assert first[-1].accuracy > 0.9
    return first, trained


@app.cell
def _(digits, trained):
    cut = deepcopy(trained)
    strengths = [t / 8 for t in range(9)]
    survival = []
    for _t in strengths:
        set_skip_strength(cut, _t)  # no training in between
        survival.append(accuracy(cut, digits.test_images, digits.test_labels))
    assert survival[0] < survival[-1]
    cheapest = sensitivity(trained, digits.test_images, digits.test_labels)
    return cheapest, strengths, survival


@app.cell(hide_code=True)
def _(cheapest, first, strengths, survival):
    _figure = Figure(figsize=(10, 3.2), layout="constrained")
    _left, _right = _figure.subplots(1, 2)
    _left.plot(strengths, [100 * a for a in survival], "o-")
    _left.set(xlabel="strength t of all skips, without training", ylabel="read rightly (%)", ylim=(0, 102))
    _right.barh([line.name for line in cheapest], [100 * line.accuracy for line in cheapest], color="tab:orange")
    _right.set(xlabel="read rightly (%) when this one activation is linear", xlim=(0, 102))
    _right.invert_yaxis()
    mo.vstack([
        mo.md(f"""
        Trained for four epochs it reads **{first[-1].accuracy:.1%}** of the test images rightly. What if we just cut
        the skips (left), or make one activation linear (right)?
        """),
        _figure,
        mo.md(f"""
        Without its skips it reads {survival[0]:.0%}. Of the activations some are worth little: the library orders
        them by what each alone would cost, which is the order to fade them in.
        """),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    _kinds = ["Adaptive", "Linear", "Cosine", "Exponential", "Step"]
    kind = mo.ui.dropdown(_kinds, value="Adaptive", label="schedule of $t$")
    epochs = mo.ui.slider(3, 10, value=5, label="epochs", show_value=True, debounce=True)
    mo.md(f"""
    ## Follow the path

    Five ways from $t = 1$ to $t = 0$. Four of them are curves in time. The **adaptive** one is predictor and
    corrector, as in numerical continuation: try a smaller $t$, train a little, compare the loss with the best one so
    far; if it is good, take a longer step, if not, go back, *weights and all*, and take a shorter one.

    {kind} {epochs}
    """)
    return epochs, kind


@app.cell
def _(digits, epochs, kind, trained):
    interval, trail = 8, []
    steps = 30 * (epochs.value - 1) // interval  # of the schedule; then it rests at 0
    curves = {"Linear": Linear, "Cosine": Cosine, "Exponential": Exponential, "Step": Step}
    adaptive = {"size": 0.25, "corrections": 2, "factor": 1.5, "floor": 0.05}
    schedule = Adaptive(**adaptive) if kind.value == "Adaptive" else curves[kind.value](steps)
    faded = deepcopy(trained)
    try:
        with mo.status.spinner("Its skips fade ..."):
            history = train(
                *(faded, digits, schedule),
                recipe=Recipe(epochs=epochs.value, batch_size=48, learning_rate=0.05),
                interval=interval,
                progress=lambda done, total, words: trail.append(next(iter(skip_strengths(faded).values()))),
            )
    except HomotopyError as error:  # an adaptive schedule does not pretend to have arrived
        mo.stop(True, mo.callout(mo.md(f"{error}"), kind="warn"))
    assert set(skip_strengths(faded).values()) == {0.0}  # exactly, not nearly
    return faded, history, trail


@app.cell(hide_code=True)
def _(history, kind, survival, trail):
    _per_epoch = len(trail) // len(history)
    _figure = Figure(figsize=(10, 3.4), layout="constrained")
    _axes = _figure.subplots()
    _axes.step(range(len(trail)), trail, where="post", color="tab:red", label="strength t of the skips")
    _epochs = [_per_epoch * (n + 1) for n in range(len(history))]
    _axes.plot(_epochs, [r.accuracy for r in history], "o-", color="tab:blue", label="share read rightly")
    _axes.axhline(survival[0], color="0.6", linestyle=":", label="the skips just cut off")
    _axes.set(xlabel="training steps", ylim=(-0.03, 1.05), title=f"{kind.value}: from a ResNet to one without skips")
    _axes.legend(fontsize=9, loc="center right")
    _back = sum(after > before for before, after in pairwise(trail))
    mo.vstack([
        _figure,
        mo.md(f"At $t = 0$ it reads **{history[-1].accuracy:.1%}**. Steps taken back on the way: {_back}."),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(cheapest):
    chosen = mo.ui.multiselect(
        [line.name for line in cheapest], value=[line.name for line in cheapest[:2]], label="activations to fade"
    )
    mo.md(f"""
    ## Activations too

    The cheapest ones first, over two more epochs. Choose more of them, and see what depth costs.

    {chosen}
    """)
    return (chosen,)


@app.cell
def _(chosen, digits, example, faded):
    without = remove_skips(faded, example)
    assert torch.equal(predictions(without, digits.test_images), predictions(faded, digits.test_images))

    linear = deepcopy(without)
    with mo.status.spinner("Its activations fade ..."):
        _ = train(
            *(linear, digits),
            activations={name: Linear(6, start=0.0, end=1.0) for name in chosen.value} or None,
            recipe=Recipe(epochs=2, batch_size=48, learning_rate=0.05),
            interval=8,
        )
    return linear, without


@app.cell
def _(chosen, digits, example, linear, trained, without):
    flat = remove_activations(linear, example, only=chosen.value) if chosen.value else linear
    assert torch.equal(predictions(flat, digits.test_images), predictions(linear, digits.test_images))

    networks = {"the ResNet": trained, "without skips": without, "some activations gone, too": flat}
    with mo.status.spinner("Three networks are collapsed ..."):
        results = {name: collapse(net.eval(), example[:1], measure=False) for name, net in networks.items()}
    assert all(result.certificate.ok for result in results.values())
    return networks, results


@app.cell(hide_code=True)
def _(digits, networks, results):
    def _heavy(report, after):
        ops = [region.ops_after if after else region.ops for region in report.regions]
        return sum(n for each in ops for op, n in each.items() if op.startswith("conv") or op in ("linear", "addmm"))

    _rows = []
    for _name, _result in results.items():
        _right = accuracy(networks[_name], digits.test_images, digits.test_labels)
        _costs = " | ".join(f"{cost / 1000:,.0f}" for cost in _result.report.cost)
        _rows.append(
            f"| {_name} | {_right:.1%} | {len(_result.report.boundaries)} | {_heavy(_result.report, False)} | "
            f"{_heavy(_result.report, True)} | {_costs} |"
        )
    mo.md("\n".join([
        "## What is left", "",
        "Removing a skip of strength 0, or an activation of strength 1, changes no output. Then `collapse` merges what "
        "can be merged, and proves that each result is the network that it was given.", "",
        "| network | read rightly | activations | layers | layers, collapsed | cost (us) | collapsed (us) |",
        "|:---|---:|---:|---:|---:|---:|---:|", *_rows, "",
        "Layers are convolutions and matrices; the cost is that of the library's model of a CPU, for one image.",
    ]))  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **The theorem behind it.** Without activations the whole path is explicit: $W(t)$ is a polynomial in $t$, of
    degree at most $\lfloor L / 2 \rfloor$ (`proofs/p06_homotopy.py`, which notebook 2 runs). With activations it is
    piecewise so: where the activations do not change their minds, the network *is* a linear one. That is the subject
    of `07_piecewise_linear.py`.
    """)
    return


if __name__ == "__main__":
    app.run()
