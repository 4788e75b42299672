# SPDX-License-Identifier: MIT
"""Plots: lines over categories, a logarithmic axis, bars from min to max."""

import math
from xml.sax.saxutils import escape

COLOURS = {"kernel": "#444444", "kernel-core1": "#999999", "tc": "#8c564b", "socat": "#bcbd22",
           "mmsg": "#e377c2", "afpacket": "#1f77b4", "afxdp": "#2ca02c", "xdp": "#d62728",
           "auto": "#ff7f0e"}
WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 130, 40, 50


def si(value):
    for limit, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return "%g%s" % (round(value / limit, 3), suffix)
    return "%g" % round(value, 3)


def ticks(low, high):
    """1, 2, 5, 10 … between the two, and one on either side."""
    values = [m * 10.0 ** e for e in range(math.floor(math.log10(low)) - 1,
                                           math.ceil(math.log10(high)) + 2) for m in (1, 2, 5)]
    first = max((i for i, v in enumerate(values) if v <= low), default=0)
    last = min((i for i, v in enumerate(values) if v >= high), default=len(values) - 1)
    return values[first:last + 1]


def text(x, y, string, anchor="middle", extra=""):
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (x, y, anchor, extra,
                                                                    escape(string))


class Plot:
    def __init__(self, title, x_label, y_label, xs, series):
        """series: name → {x: (median, min, max)}"""
        self.title, self.x_label, self.y_label = title, x_label, y_label
        self.xs, self.series = xs, series
        values = [v for points in series.values() for p in points.values() for v in p if v > 0]
        self.ticks = ticks(min(values), max(values))

    def x(self, value):
        step = (WIDTH - LEFT - RIGHT) / max(1, len(self.xs))
        return LEFT + step * (self.xs.index(value) + 0.5)

    def y(self, value):
        low, high = math.log10(self.ticks[0]), math.log10(self.ticks[-1])
        share = (math.log10(max(value, self.ticks[0])) - low) / ((high - low) or 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def axes(self):
        yield text(WIDTH / 2, 22, self.title, extra=' font-size="15"')
        yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, self.x_label)
        yield text(18, HEIGHT / 2, self.y_label,
                   extra=' transform="rotate(-90 18 %d)"' % (HEIGHT / 2))
        for value in self.ticks:
            y = self.y(value)
            yield '<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>' % (
                LEFT, y, WIDTH - RIGHT, y)
            yield text(LEFT - 6, y + 4, si(value), "end")
        for value in self.xs:
            yield text(self.x(value), HEIGHT - BOTTOM + 18, str(value))

    def lines(self, name, points, at):
        colour = COLOURS.get(name, "#000000")
        path = " ".join("%.1f,%.1f" % (self.x(x), self.y(points[x][0]))
                        for x in self.xs if x in points)
        yield '<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (path, colour)
        for value, (median, low, high) in points.items():
            x = self.x(value)
            yield '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>' % (
                x, self.y(low), x, self.y(high), colour)
            yield '<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x, self.y(median), colour)
        y = TOP + 16 * at + 10
        yield '<rect x="%d" y="%d" width="12" height="4" fill="%s"/>' % (WIDTH - RIGHT + 12,
                                                                         y - 6, colour)
        yield text(WIDTH - RIGHT + 30, y, name, "start")

    def render(self):
        parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
                 'font-family="sans-serif" font-size="12">' % (WIDTH, HEIGHT),
                 '<rect width="100%" height="100%" fill="white"/>']
        parts += self.axes()
        for at, (name, points) in enumerate(self.series.items()):
            parts += self.lines(name, points, at)
        return "\n".join(parts + ["</svg>", ""])
