"""A workspace's colour: text and buttons have it, so it must be readable on each background."""

from collections.abc import Iterator

WHITE, BLACK = "#ffffff", "#000000"
# The darkest light and the lightest dark that pages may have behind it. `site.css` is well within.
LIGHT_PAPER, DARK_PAPER = "#f0f1f3", "#242b35"
READABLE = 4.5  # the contrast that WCAG 2.2 (1.4.3) asks of text
STEPS = 50
CSS = ":root {\n  --accent: light-dark(%s, %s);\n}\n"


def stylesheet(accent: str) -> str:
    """Return the CSS that sets the colour, darker or lighter where it would be hard to read."""
    light, dark = readable(accent, LIGHT_PAPER, BLACK), readable(accent, DARK_PAPER, WHITE)
    return CSS % (light, dark)


def readable(colour: str, paper: str, towards: str) -> str:
    """Return the first mixture of the two colours, from the first one on, that the paper bears."""
    mixtures = (mix(colour, towards, step / STEPS) for step in range(STEPS + 1))
    return next(each for each in mixtures if contrast(each, paper) >= READABLE)


def contrast(one: str, other: str) -> float:
    """Return the ratio of contrast of WCAG, from 1 to 21."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in parts(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def mix(colour: str, other: str, share: float) -> str:
    """Return the colour with a share of the other, from 0 to 1."""
    pairs = zip(parts(colour), parts(other), strict=True)
    return "#" + "".join(f"{round(own + (its - own) * share):02x}" for own, its in pairs)


def parts(colour: str) -> Iterator[int]:
    return (int(colour[at : at + 2], 16) for at in (1, 3, 5))
