"""The picture: how each of the measures grows with the number of tenants."""

from statistics import median

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

OURS, THEIRS, LIMIT, INK = "#0a6c74", "#c8553d", "#8a8f98", "#20242a"
STYLES = {
    "theirs": {"color": THEIRS, "linewidth": 2, "marker": "o"},
    "limit": {"color": LIMIT, "linewidth": 1.5, "marker": "o", "linestyle": (0, (4, 2))},
    "ours": {"color": OURS, "linewidth": 2.5, "marker": "o"},
}
PANELS = (
    ("Making a tenant", lambda found: found["births"]["seconds"], "raw SQL"),
    ("Migrating, nothing to do", lambda found: found["nothing"], "one query"),
    ("Migrating, one AddField", lambda found: found["field"], "psql"),
)
NAMES = {"ours": "this template", "theirs": "the libraries"}


def draw(results, path):
    """Write the picture as SVG."""
    mpl.rcParams |= {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": INK,
        "svg.hashsalt": "the same figures give the same file",
    }
    figure = Figure(figsize=(9.6, 6.6), facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.14, wspace=0.05, hspace=0.06)
    panels = figure.subplots(2, 2).flat
    sizes = [int(size) for size in results["fleets"]]
    fleets = list(results["fleets"].values())
    for axes, (title, seconds, limit) in zip(panels, PANELS, strict=False):
        curves(axes, sizes, [seconds(found) for found in fleets], NAMES | {"limit": limit})
        frame(axes, sizes, title, time)
    requests(panels[3], sizes, [found["requests"] for found in fleets])
    figure.savefig(path, metadata={"Date": None})


def curves(axes, sizes, measured, names):
    for who, style in STYLES.items():
        axes.plot(sizes, [median(each[who]) for each in measured], markersize=4.5, **style)
    label(
        axes, sizes[-1], {names[who]: median(measured[-1][who]) for who in STYLES}, STYLES.values()
    )


def requests(axes, sizes, measured):
    whose = {"theirs": "theirs", "plain": "limit", "ours": "ours"}
    for page, filled in (("anonymous", True), ("signed in", False)):
        values = [each[page] for each in measured]
        for who, kind in whose.items():
            style = STYLES[kind] | ({} if filled else {"markerfacecolor": "white"})
            axes.plot(sizes, [median(value[who]) for value in values], markersize=4.5, **style)
    last = {
        f"{name}{sign}": median(measured[-1][page][who])
        for page, sign in (("anonymous", ""), ("signed in", " °"))
        for who, name in (
            ("theirs", NAMES["theirs"]),
            ("plain", "plain Django"),
            ("ours", NAMES["ours"]),
        )
    }
    label(axes, sizes[-1], last, [STYLES[kind] for kind in whose.values()] * 2)
    frame(axes, sizes, "Requests per second (° signed in)", lambda value, _: f"{value:g}")


def label(axes, x, last, styles):
    """Names beside the ends of the curves, moved apart where they would cover each other."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    step = (high / low) ** 0.075
    at = 0
    for (name, value), style in sorted(zip(last.items(), styles, strict=True), key=by_height):
        at = max(value, at * step)
        axes.annotate(
            name,
            (x, at),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=style["color"],
            fontsize=9,
            annotation_clip=False,
        )


def by_height(labelled):
    (_, value), _ = labelled
    return value


def frame(axes, sizes, title, text):
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("tenants", fontsize=9)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(text))
    axes.tick_params(which="both", length=0, labelsize=9)
    axes.minorticks_off()
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color="#b8bcc2")


def time(seconds, _):
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
