"""How do we know?  Tolerance, bound, modular, rational, machine-checked: break a network by one ulp and watch them."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="5. How do we know?")

with app.setup(hide_code=True):
    from copy import deepcopy
    from fractions import Fraction
    from itertools import product

    import marimo as mo
    import numpy as np
    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from algebraic_cnn import LinearCNN, PrimeField, SkipSpec, certify, collapse
    from algebraic_cnn.ir.trace import trace
    from proofs import p10_morphisms, p11_errors


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 5. How do we know?

    Somebody hands you a faster network and says: it computes the same. How do you check? Everywhere in this field,
    like this:

    ```python
    torch.allclose(original(x), faster(x))        # relative 1e-5, absolute 1e-8
    ```

    Floating point rounds, so the outputs are never equal, and a tolerance must forgive the difference. But *how much*
    is rounding? Nobody computes it; the numbers are guessed. This page breaks a network on purpose, by as little as
    possible, and watches five kinds of evidence:

    | evidence | what it says |
    |:---|:---|
    | **tolerance** | the outputs are close, by a guess |
    | **bounded** | they differ by no more than rounding *can* explain: a bound that is computed and proved |
    | **modular** | run modulo random primes, both networks are equal: the same function but for a stated probability |
    | **rational** | every entry of $W$ and $B$ is the same fraction; chance plays no part |
    | **machine-checked** | the theorems behind all this hold for every network: a proof assistant has read the proof |

    ## A network and its collapse
    """)
    return


@app.cell
def _():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3, padding=1), *(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4)), nn.Linear(108, 10)]
    original = LinearCNN((1, 6, 6), layers, {(1, 3): 1.0, (3, 5): SkipSpec(0.5)}).eval()
    example = torch.zeros(1, 1, 6, 6)
    right = collapse(original, example, measure=False).model  # certified before it came back
    images = torch.rand(256, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    graph = trace(original, example)
    return example, graph, images, original, right


@app.cell
def _(images, original, right):
    with torch.no_grad():
        verdict = torch.allclose(original(images), right(images))
        off = (original(images) - right(images)).abs().max().item()
    assert not verdict  # torch's tolerance refuses a collapse that is exact
    mo.md(f"""
    `torch.allclose` on 256 random images: **{verdict}**. The collapse is right, and it is refused: the outputs differ
    by at most
    {off:.1e}, but where an output happens to be near zero, a relative tolerance forgives nothing.
    """)
    return


@app.cell(hide_code=True)
def _():
    power = mo.ui.slider(0, 24, value=0, label="$k$", show_value=True)
    mo.md(rf"""
    ## Break it by $2^k$ ulps

    An *ulp* is the distance from a float to the next one: the smallest change that a weight can suffer. We take one
    of the network's weights and move it by $2^k$ of them. The network is then **not the same function any more**,
    however small $k$ is. Who notices?

    {power}
    """)
    return (power,)


@app.cell
def _(original):
    def broken_by(k):
        """The original with one weight moved by 2^k ulps."""
        mutant = deepcopy(original)
        weight = mutant.layers[0].weight.data.view(-1)[4:5]
        bits = weight.view(torch.int32)  # neighbouring floats have neighbouring bit patterns
        bits += 2**k
        return mutant

    return (broken_by,)


@app.cell
def _(broken_by, example, graph, images, original, power):
    broken = broken_by(power.value)
    with torch.no_grad():
        y, z = original(images), broken(images)
    mutant_graph = trace(broken, example)
    with mo.status.spinner("Three levels look at it ..."):
        levels = ("bounded", "modular", "rational")
        certificates = {level: certify(graph, mutant_graph, level=level) for level in levels}
    assert not certificates["modular"].ok  # one ulp is enough
    assert not certificates["rational"].ok
    assert certificates["bounded"].observed <= certificates["bounded"].bound or not certificates["bounded"].ok
    return certificates, y, z


@app.cell(hide_code=True)
def _(certificates, example, graph, images, original, power, right, y, z):
    _before = original.layers[0].weight.view(-1)[4].item()
    _right_graph = trace(right, example)
    _right = [certify(graph, _right_graph, level=level).ok for level in certificates]
    assert all(_right)
    with torch.no_grad():
        _x, _w = original(images), right(images)
    _strict, _loose = ({}, {"rtol": 1e-2, "atol": 1e-3})
    _seen = {
        "`torch.allclose`": (torch.allclose(_x, _w, **_strict), torch.allclose(y, z, **_strict)),
        "`torch.allclose`, loosened": (torch.allclose(_x, _w, **_loose), torch.allclose(y, z, **_loose)),
    } | {level: (ok, certificates[level].ok) for level, ok in zip(certificates, _right, strict=True)}
    _rows = [
        f"| {name} | {'accepted' if good else '**accused**'} | {'sees nothing' if bad else '**noticed**'} |"
        for name, (good, bad) in _seen.items()
    ]
    mo.vstack([
        mo.md(rf"The weight was {_before:.9g} and is moved by $2^{{{power.value}}}$ = {2**power.value:,} ulps."),
        mo.md("\n".join(["| evidence | the right collapse | the broken network |", "|:---|:---|:---|", *_rows])),
        mo.md(f"The modular witness: {certificates['modular'].witness}."),
        mo.md(f"The rational witness: {certificates['rational'].witness}."),
    ])  # fmt: skip
    return


@app.cell
def _(broken_by, example, graph, images, original):
    ks = list(range(0, 25, 2))
    with torch.no_grad():
        differences = [(broken_by(k)(images) - original(images)).abs().max().item() for k in ks]
    bound = certify(graph, trace(broken_by(0), example), level="bounded").bound
    found = [not certify(graph, trace(broken_by(k), example), level="modular").ok for k in (0, 12)]
    assert all(found)  # modular notices the smallest as well as the larger
    return bound, differences, ks


@app.cell(hide_code=True)
def _(bound, differences, ks, power):
    _figure = Figure(figsize=(9, 3.4), layout="constrained")
    _axes = _figure.subplots()
    _axes.semilogy(ks, differences, "o-", label="difference of the outputs")
    _axes.axhline(bound, color="tab:orange", linestyle="--", label="bounded notices above: proved")
    _axes.axhline(1e-3, color="0.5", linestyle=":", label="a loose tolerance notices above: guessed")
    _axes.fill_between(ks, 1e-9, 1e1, color="tab:green", alpha=0.12, label="modular and rational notice: everywhere")
    _axes.axvline(power.value, color="0.7")
    _axes.set(xlabel="k: the weight is moved by 2^k ulps", ylim=(1e-9, 1e1), xlim=(ks[0], ks[-1]))
    _axes.legend(fontsize=9)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **What to notice.** A tolerance that sees one ulp accuses the right network too; loosened until it does not, it is
    blind up to a million ulps. A bound never accuses a right network, and says where its eyesight ends: below that a
    difference cannot be told from rounding by looking at outputs. To see everything one must leave floating point.

    ## The bound

    If $g$ is what the machine computes, $f$ the exact function and $\delta_i$ the rounding error made in layer $i$
    alone, then

    $$g - f \;=\; \sum_i J_i\, \delta_i \qquad\text{exactly, so}\qquad |g - f| \;\le\; \sum_i |J_i|\, |\delta_i| ,$$

    where $J_i$ is the *collapsed* map from layer $i$ to the output (Theorem 11). The collapse itself is what makes
    the bound usable at any depth: $|J_i|$ does not grow like a product of norms.

    ## Modulo a prime

    A float is an integer times a power of two. For an odd prime $p$ that has a meaning modulo $p$, since 2 can be
    divided by. The float nearest to 0.1, for example:
    """)
    return


@app.cell
def _():
    tenth = Fraction(float(np.float32(0.1)))
    residues = {p: int(PrimeField(p).embed(np.array(float(tenth)))) for p in (7, 101, 1_000_003)}
    assert all((residue * tenth.denominator - tenth.numerator) % p == 0 for p, residue in residues.items())
    _list = r",\quad ".join(rf"{residue} \pmod{{{p}}}" for p, residue in residues.items())
    mo.md(rf"$$\mathrm{{fl}}(0.1) = \frac{{{tenth.numerator}}}{{2^{{27}}}} \;\equiv\; {_list}$$")
    return


@app.cell(hide_code=True)
def _():
    prime = mo.ui.dropdown(["3", "5", "7", "11", "31", "101"], value="5", label="prime $p$")
    mo.md(rf"""
    Sums and products survive the passage to $\mathbb{{F}}_p$ (Theorem 10): run both networks there, at a random
    point. There is no rounding, so *any* difference is a proof that they differ. How often would equal values be an
    accident? Take the map $2 x_1 + x_2 + 3$ and three wrong versions of it, and count **all** points of
    $\mathbb{{F}}_p^2$ at which they agree with it.

    {prime}
    """)
    return (prime,)


@app.cell
def _(prime):
    p = int(prime.value)
    points = np.array(list(product(range(p), repeat=2)))
    truth = 2 * points[:, 0] + points[:, 1] + 3
    wrong = {
        "the constant": 2 * points[:, 0] + points[:, 1] + 1,
        "a coefficient": points[:, 0] + points[:, 1] + 3,
        "both": points[:, 0] + points[:, 1] + 1,
    }
    agreements = {name: int(((truth - values) % p == 0).sum()) for name, values in wrong.items()}
    assert max(agreements.values()) <= p  # at most p^(n-1) of the p^n points
    return agreements, p


@app.cell(hide_code=True)
def _(agreements, p):
    _rows = [f"| {name} | {count} of {p * p} | {count / p**2:.1%} |" for name, count in agreements.items()]
    mo.md("\n".join([
        "| what is wrong | they agree at | share |", "|:---|---:|---:|", *_rows, "",
        f"Never more than $1/p$ = {1 / p:.1%}. The library's primes are far larger, and it takes several:",
    ]))  # fmt: skip
    return


@app.cell
def _(example, original, right):
    certificate = certify(original, right, example, level="modular")
    assert certificate.ok
    assert certificate.error_probability < 2.0**-80
    mo.md(f"> {certificate}\n\nPrimes: {', '.join(f'{q:,}' for q in certificate.primes)}.")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The probability also pays for *unlucky* primes, those that divide the difference: a difference of two fractions of
    known size has few prime factors of six digits. And it is the probability over *our* choice of primes and points,
    whatever the network.

    ## Other ways to be wrong

    One ulp was the hardest. Here are the mistakes that people make, and who notices them.
    """)
    return


@app.cell
def _(original):
    def mutant(change):
        net = deepcopy(original)
        change(net)
        return net

    mistakes = {
        "a bias forgotten": mutant(lambda net: net.layers[2].bias.data.zero_()),
        "a kernel flipped": mutant(lambda net: net.layers[1].weight.data.copy_(net.layers[1].weight.data.flip(3))),
        "a skip forgotten": mutant(lambda net: net.strengths.update({(1, 3): 0.0})),
        "a skip of 0.5 taken for 0.5000001": mutant(lambda net: net.strengths.update({(3, 5): 0.5000001})),
        "weights kept in bfloat16": mutant(lambda net: net.bfloat16().float()),
    }
    return (mistakes,)


@app.cell
def _(example, graph, images, mistakes, original):
    with torch.no_grad():
        close = {n: torch.allclose(original(images), net(images), 1e-2, 1e-3) for n, net in mistakes.items()}
    with mo.status.spinner("Every level looks at every mistake ..."):
        traced = {name: trace(net, example) for name, net in mistakes.items()}
        verdicts = {
            name: [certify(graph, other, level=level).ok for level in ("bounded", "modular", "rational")]
            for name, other in traced.items()
        }
    assert not any(modular or rational for _, modular, rational in verdicts.values())
    return close, verdicts


@app.cell(hide_code=True)
def _(close, verdicts):
    _mark = {False: "**notices**", True: "sees nothing"}
    _rows = [
        f"| {name} | {_mark[close[name]]} | {' | '.join(_mark[ok] for ok in oks)} |" for name, oks in verdicts.items()
    ]
    mo.md("\n".join([
        "| mistake | loose tolerance | bounded | modular | rational |", "|:---|:---|:---|:---|:---|", *_rows,
    ]))  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Who guards the guards

    A certificate speaks of one network. That *no* network can fool the method is a theorem, and a proof on paper can
    be wrong. So the theorems are proved in Rocq as well, for all numbers of layers, all shapes and all commutative
    rings; `make proofs` compiles them and fails unless each rests on no axiom at all. `proofs/TRUST.md` says what is
    still assumed: that floats are the fractions they denote, that torch's kernels compute what they document, that
    the random numbers are random.
    """)
    return


@app.cell
def _():
    records = {"p10_morphisms": p10_morphisms.prove(), "p11_errors": p11_errors.prove()}
    assert all(record.rocq for record in records.values())
    return (records,)


@app.cell(hide_code=True)
def _(records):
    _said = {name: r.theorem.replace("|", r"\|") for name, r in records.items()}  # a bar would end the table's cell
    _rows = [
        f"| `proofs/{name}.py` | {_said[name]} | {', '.join(f'`{lemma}`' for lemma in r.rocq)} |"
        for name, r in records.items()
    ]
    mo.md("\n".join([
        "| proof | theorem | in Rocq |", "|:---|:---|:---|", *_rows, "",
        "Next: `06_homotopy.py`, on getting rid of what cannot be collapsed.",
    ]))  # fmt: skip
    return


if __name__ == "__main__":
    app.run()
