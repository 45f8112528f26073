"""Figures for people: three digits and a unit that fits."""

STEPS = {
    "ops/s": ((1e6, "M/s"), (1e3, "k/s"), (1, "/s")),
    "MB/s": ((1e3, "GB/s"), (1, "MB/s")),
    "bytes": ((1 << 30, "GiB"), (1 << 20, "MiB"), (1, "B")),
    "us": ((1e6, "s"), (1e3, "ms"), (1, "µs")),
    "us/request": ((1, "µs"),),
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "ratio": ((1, ""),),
}


def show(value, unit):
    """A dash for a figure that is not there."""
    if value is None:
        return "–"
    factor, name = next((step for step in STEPS[unit] if value >= step[0]), STEPS[unit][-1])
    scaled = value / factor
    digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
    return f"{scaled:,.{digits}f} {name}".rstrip()


def show_block(block):
    if block == 0:
        return ""
    if block < 1 << 20:
        return f"{block // 1024}K"
    return f"{(block + 4096) >> 20}M" if block < 1 << 30 else f"{(block + 4096) / (1 << 30):.3g}G"
