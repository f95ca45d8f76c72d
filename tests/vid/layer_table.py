"""The layer tables of section 1.3 once more, in plain numbers: rows of (inputs, outputs, kernel
area, positions); a deconvolution's positions are those of its input."""

FACTORS = (16, 8, 4, 2, 1)


def scaled(base, width):
    return max(4, round(base * width / 32))


def dense_layers(inputs, width, positions):
    for base in (128, 128, 96, 64, 32):
        yield inputs, scaled(base, width), 9, positions
        inputs += scaled(base, width)


def decoder_layers(bottleneck, skips, width, size):
    feature = bottleneck
    for k, (base, skip) in enumerate(zip((256, 128, 64, 32, 32), skips)):
        here, before = (size // FACTORS[k]) ** 2, (size // FACTORS[k] // 2) ** 2
        yield feature, scaled(base, width), 16, before
        if k > 0:
            yield 3, 3, 16, before
        image = 3 if k > 0 else 0
        yield from dense_layers(scaled(base, width) + image + skip, width, here)
        feature = scaled(32, width)
        yield feature, 3, 9, here
    outs = [scaled(base, width) for base in (128, 128, 128, 96, 64, 32)] + [3]
    for inputs, outputs in zip([feature + 3, *outs[:-1]], outs):
        yield inputs, outputs, 9, size**2


def localisation_layers(inputs, width, side):
    hidden = scaled(32, width)
    yield inputs, hidden, 9, (side // 2) ** 2
    yield hidden, hidden, 9, (side // 4) ** 2
    yield hidden, 6, 1, 1


def motion_layers(width, size, without=()):
    c = {s: scaled(16 * s, width) for s in (2, 4, 8, 16, 32)}
    for s in (2, 4, 8, 16, 32):
        if "ftn" not in without:
            yield from localisation_layers(c[s], width, size // s)
        if "lw" not in without:
            yield c[s], scaled(32, width), 9, (size // s) ** 2
            yield scaled(32, width), 2, 9, (size // s) ** 2
    for s in (16, 8, 4, 2, 2):
        if "itn" not in without:
            yield from localisation_layers(c[s], width, size // s)


def other_decoder_layers(width, size, without=()):
    c = [scaled(16 * s, width) for s in (32, 16, 8, 4, 2)]
    copies = 3 - ("ftn" in without) - ("lw" in without)
    image = 0 if "itn" in without else 3
    skips = [copies * channels + image for channels in c[1:]] + [image]
    yield from decoder_layers(copies * c[0], skips, width, size)


def middle_layers(width, size):
    inputs = 3
    for s, base in ((2, 32), (4, 64), (8, 128), (16, 256), (32, 512)):
        yield inputs, scaled(base, width), 9, (size // s) ** 2
        yield scaled(base, width), scaled(base, width), 9, (size // s) ** 2
        inputs = scaled(base, width)
    skips = [scaled(base, width) for base in (256, 128, 64, 32)] + [0]
    yield from decoder_layers(scaled(512, width), skips, width, size)


def all_layers(frames, width, size=256, without=()):
    """Of the full model."""
    yield from middle_layers(width, size)
    for _ in range(frames - 1):
        yield from motion_layers(width, size, without)
        yield from other_decoder_layers(width, size, without)


def light_layers(frames, width, size=256):
    """Half as many transformers, and one decoder, which runs for each frame."""
    yield from middle_layers(width, size)
    for _ in range(frames // 2):
        yield from motion_layers(width, size)
    yield from other_decoder_layers(width, size)


def parameters(layers):
    return sum(i * o * area + o for i, o, area, _ in layers)


def multiply_adds(layers):
    return sum(i * o * area * at for i, o, area, at in layers)
