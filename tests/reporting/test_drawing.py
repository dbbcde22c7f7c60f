"""The drawing of a network."""

import numpy as np
from networks import connection, network, population

from astrodeploy.reporting.drawing import HEIGHT, WIDTH, draw


def chain(names, *edges):
    """One neuron per layer, each a step deeper than the one before it; edges beside the chain's own."""
    layers = [population(each, "lif", 1, depth=i + 1) for i, each in enumerate(names)]
    along = zip(["x", *names], names, strict=False)
    return network(1, layers, [connection(a, b, [[1]]) for a, b in along] + list(edges))


def curve_of(drawing, name):
    return next(c for c in drawing.curves if c.name == name)


def test_layers_stand_in_columns_by_depth():
    drawing = draw(chain(["a", "b"]))
    x, a, b = drawing.boxes
    assert (x.name, a.name, b.name) == ("x", "a", "b")
    assert x.x + WIDTH < a.x and a.x + WIDTH < b.x
    assert x.y == a.y == b.y == 0
    assert (x.role, a.role, b.role) == ("input", "neurons", "output")
    assert curve_of(drawing, "a -> b.current").label == "1 syn."


def test_what_leads_around_boxes_has_room_above_them():
    plain = draw(chain(["a", "b"]))
    loop = draw(chain(["a", "b"], connection("b", "b", [[1]], delay=3)))
    skip = draw(chain(["a", "b"], connection("x", "b", [[1]])))
    back = draw(chain(["a", "b"], connection("b", "a", [[1]])))
    assert plain.view[1] > back.view[1] == loop.view[1] > skip.view[1]
    assert curve_of(loop, "b -> b.current").label == "1 syn., delay 3"
    for drawing, name in ((skip, "x -> b.current"), (back, "b -> a.current"), (loop, "b -> b.current")):
        curve = curve_of(drawing, name)
        assert drawing.view[1] < curve.y < 0


def test_astrocytes_stand_below_their_layer_with_one_curve_each_way():
    layer = population("layer", "modulated_lif", 2, depth=1, threshold=100)
    astro = population("astro", "astrocyte", 1, depth=1, period=4)
    out = population("out", "lif", 1, depth=2, threshold=100)
    edges = [
        connection("x", "layer", np.ones((2, 1))),
        connection("layer", "astro", np.ones((1, 2)), port="activity"),
        connection("astro", "layer", np.ones((2, 1)), port="modulation"),
        connection("layer", "out", np.ones((1, 2))),
    ]
    drawing = draw(network(1, [astro, layer, out], edges))
    boxes = {box.name: box for box in drawing.boxes}
    assert boxes["astro"].x == boxes["layer"].x and boxes["astro"].y > boxes["layer"].y + HEIGHT
    down, up = curve_of(drawing, "layer -> astro.activity"), curve_of(drawing, "astro -> layer.modulation")
    assert (down.slow, down.label, up.label) == (True, "activity", "modulation")
    assert down.x < up.x
    assert not curve_of(drawing, "x -> layer.current").slow


def test_a_long_name_is_cut_and_kept_whole_in_the_title():
    drawing = draw(chain(["a" * 40]))
    assert drawing.boxes[1].label == "a" * 16 + "…"
    assert drawing.boxes[1].name == "a" * 40


def test_a_network_that_is_too_large_is_not_drawn():
    assert draw(chain([f"layer{i}" for i in range(7)])) is not None
    assert draw(chain([f"layer{i}" for i in range(8)])) is None
