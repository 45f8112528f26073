"""Writes a chart of horizontal bars as a plain SVG file."""

import math
from xml.sax.saxutils import escape

from units import show

COLORS = ("#1f6fb2", "#d98324", "#8a8f98")
LABEL_WIDTH, PLOT_WIDTH, TEXT_WIDTH = 250, 430, 200
BAR, GAP, TOP = 13, 9, 78


def scale(values, logarithmic):
    """A function from a value to pixels, and the values to draw lines at."""
    most = max(values)
    if not logarithmic:
        most = max(1.2, math.ceil(most * 5) / 5)
        ticks = [most * i / 6 for i in range(7)]
        return (lambda v: v / most * PLOT_WIDTH), ticks
    least = min(v for v in values if v > 0)
    low = math.floor(math.log2(least))
    high = max(low + 1, math.ceil(math.log2(most)))
    step = max(1, (high - low) // 8)
    ticks = [2.0 ** e for e in range(low, high + 1, step)]
    span = high - low
    return (lambda v: (math.log2(v) - low) / span * PLOT_WIDTH if v > 0 else 0), ticks


def text(x, y, content, anchor="start", size=11, color="#222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{color}">{escape(content)}</text>')


def bar_chart(path, title, subtitle, series, groups, logarithmic=False, unit="ratio"):
    """`groups`: (label, [(value, text) for each of the series]); a value of None leaves the bar
    out. Among ratios 1 is drawn as the line to compare with."""
    values = [v for _, bars in groups for v, _ in bars if v is not None]
    if not values:
        return False
    ratios = unit == "ratio"
    to_pixels, ticks = scale(values + [1.0] if ratios else values, logarithmic)
    bottom = TOP + sum(len(bars) * BAR + GAP for _, bars in groups)
    width, height = LABEL_WIDTH + PLOT_WIDTH + TEXT_WIDTH, bottom + 26
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
           text(12, 22, title, size=15), text(12, 40, subtitle, size=10, color="#555")]
    x = LABEL_WIDTH
    for name, color in zip(series, COLORS):
        out.append(f'<rect x="{x}" y="52" width="11" height="11" fill="{color}"/>')
        out.append(text(x + 16, 61, name))
        x += 30 + 7 * len(name)
    for tick in ticks:
        at = LABEL_WIDTH + to_pixels(tick)
        out.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}" '
                   f'stroke="{"#444" if ratios and tick == 1 else "#ddd"}"/>')
        label = f"{tick:.3g}" if ratios else show(tick, unit)
        out.append(text(at, bottom + 14, label, "middle", 10, "#555"))
    y = TOP
    for label, bars in groups:
        out.append(text(LABEL_WIDTH - 8, y + len(bars) * BAR / 2 + 4, label, "end"))
        for (value, note), color in zip(bars, COLORS):
            if value is not None:
                length = max(1.0, to_pixels(value))
                out.append(f'<rect x="{LABEL_WIDTH}" y="{y + 1}" width="{length:.1f}" '
                           f'height="{BAR - 2}" fill="{color}"/>')
                out.append(text(LABEL_WIDTH + length + 5, y + BAR - 3, note, size=9, color="#444"))
            y += BAR
        y += GAP
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))
    return True
