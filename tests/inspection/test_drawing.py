import copy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from layerkit import (
    Array,
    Concat,
    Dense,
    GlorotUniform,
    Graph,
    Join,
    Layer,
    LeakyReLU,
    Network,
    ReLU,
    Residual,
    Sequential,
    Shape,
    SoftmaxCrossEntropy,
    Sum,
)
from layerkit.cli import main
from layerkit.inspection.drawing import svg

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
NAMESPACE = "{http://www.w3.org/2000/svg}"


def network(body: Layer, shape: Shape = (4,)) -> Network:
    return Network(copy.deepcopy(body), SoftmaxCrossEntropy(), shape)


def wired() -> Graph:
    return Graph(
        {"left": Dense(4), "bent": ReLU(), "right": Dense(4), "all": Join(), "out": Dense(3)},
        ["input -> left -> bent", "input -> right", "bent, right, input -> all -> out -> output"],
    )


PLAIN = Sequential([Dense(8), ReLU(), Dense(5, GlorotUniform()), LeakyReLU(0.2), Dense(3)])
NESTED = Sequential(
    [
        Residual(Sequential([Dense(6), Residual(Dense(6))]), shortcut=Dense(6)),
        Concat([Sum([Dense(2), Dense(2)]), Dense(1)]),
        Dense(3),
    ]
)
BODIES: list[Layer] = [PLAIN, NESTED, wired(), Dense(3), Residual(wired(), Dense(3))]


# The table


def rows(net: Network) -> list[str]:
    return net.summary().split("\n")


def test_a_plain_sequential() -> None:
    assert rows(network(PLAIN)) == [
        "address        layer                          output  parameters  initial W",
        "body.layers.0  Dense(units=8)                 (8,)            40  HeNormal",
        "body.layers.1  ReLU                           (8,)             0",
        "body.layers.2  Dense(units=5)                 (5,)            45  GlorotUniform",
        "body.layers.3  LeakyReLU(negative_slope=0.2)  (5,)             0",
        "body.layers.4  Dense(units=3)                 (3,)            18  LeCunNormal",
        "total                                                        103",
    ]


def test_containers_are_followed_by_their_parts() -> None:
    assert [row[:72].rstrip() for row in rows(network(NESTED))] == [
        "address                              layer                        output",
        "body.layers.0                        Residual                     (6,)",
        "body.layers.0.body                     Sequential                 (6,)",
        "body.layers.0.body.layers.0              Dense(units=6)           (6,)",
        "body.layers.0.body.layers.1              Residual                 (6,)",
        "body.layers.0.body.layers.1.body           Dense(units=6)         (6,)",
        "body.layers.0.body.layers.1.add            body, input -> Add     (6,)",
        "body.layers.0.shortcut                 input -> Dense(units=6)    (6,)",
        "body.layers.0.add                      body, shortcut -> Add      (6,)",
        "body.layers.1                        Concat                       (3,)",
        "body.layers.1.branches.0               Sum                        (2,)",
        "body.layers.1.branches.0.branches.0      Dense(units=2)           (2,)",
        "body.layers.1.branches.0.branches.1      input -> Dense(units=2)  (2,)",
        "body.layers.1.branches.0.add             0, 1 -> Add              (2,)",
        "body.layers.1.branches.1               input -> Dense(units=1)    (1,)",
        "body.layers.1.join                     0, 1 -> Join               (3,)",
        "body.layers.2                        Dense(units=3)               (3,)",
        "total",
    ]


def test_a_graph_says_what_is_read() -> None:
    assert rows(network(wired())) == [
        "address           layer                         output  parameters  initial W",
        "body              Graph                         (3,)",
        "body.nodes.left     Dense(units=4)              (4,)            20  HeNormal",
        "body.nodes.right    input -> Dense(units=4)     (4,)            20  LeCunNormal",
        "body.nodes.bent     left -> ReLU                (4,)             0",
        "body.nodes.all      bent, right, input -> Join  (12,)            0",
        "body.nodes.out      Dense(units=3)              (3,)            39  LeCunNormal",
        "total                                                           79",
    ]


class Pair(Layer):
    """A container of one's own, which says nothing of its wiring."""

    pair: list[Layer]

    def build(self, shape: Shape) -> Shape:
        for i, layer in enumerate(self.pair):
            shape = layer.place(shape, address=f"{self.address}.pair.{i}")
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return self.pair[1].forward(self.pair[0].forward(x, train=train), train=train)

    def backward(self, dy: Array) -> Array:
        return self.pair[0].backward(self.pair[1].backward(dy))


def test_a_container_of_ones_own() -> None:
    net = network(Pair([Dense(2), Dense(2)]))
    assert [row.split("  ")[0] for row in rows(net)] == [
        "address",
        "body",
        "body.pair.0",
        "body.pair.1",
        "total",
    ]
    assert len(boxes(svg(net))) == 3


# The picture


def boxes(picture: str, kinds: str = "layer") -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of all boxes of these kinds."""
    found = []
    for rect in ElementTree.fromstring(picture).iter(f"{NAMESPACE}rect"):
        if rect.get("class", "").partition(" ")[0] in kinds.split():
            x, y, width, height = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


@pytest.mark.parametrize("body", BODIES)
def test_the_picture_has_a_box_for_each_layer_and_none_overlap(body: Layer) -> None:
    net = network(body)
    picture = svg(net)
    root = ElementTree.fromstring(picture)
    texts = [text.text or "" for text in root.iter(f"{NAMESPACE}text")]
    leaves = [layer for _, layer in net.layers() if not any(layer.parts())]
    for shape in {layer.output_shape for layer in leaves}:
        assert texts.count(str(shape)) == sum(layer.output_shape == shape for layer in leaves)
    places = boxes(picture)
    assert len(places) == len(leaves) + 2
    for i, (left, top, right, bottom) in enumerate(places):
        for other in places[:i]:
            assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for left, top, right, bottom in places + boxes(picture, "frame"):
        assert 0 < left < right < width
        assert 0 < top < bottom < height


def crossed(picture: str) -> int:
    """How often a link's straight middle part runs through a box."""
    root, count = ElementTree.fromstring(picture), 0
    for path in root.iter(f"{NAMESPACE}path"):
        if path.get("class") == "link":
            numbers = [float(n) for n in path.attrib["d"].replace("M", "").replace("C", "").split()]
            (x1, y1), (x2, y2) = numbers[:2], numbers[-2:]
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            count += sum(
                left < x < right and top < y < bottom for left, top, right, bottom in boxes(picture)
            )
    return count


@pytest.mark.parametrize("body", BODIES)
def test_no_link_crosses_a_box(body: Layer) -> None:
    assert crossed(svg(network(body))) == 0


def test_show_prints_the_table_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "graph.svg"
    assert main(["show", str(EXPERIMENTS / "residual.toml"), "--svg", str(out)]) == 0
    said = capsys.readouterr().out
    assert "body, input -> Add" in said
    assert f"The graph is drawn in {out}" in said
    assert ElementTree.parse(out).getroot().tag == f"{NAMESPACE}svg"
    (tmp_path / "folder.svg").mkdir()
    taken = ["--svg", str(tmp_path / "folder.svg")]
    assert main(["show", str(EXPERIMENTS / "residual.toml"), *taken]) == 1
    assert "not a regular file" in capsys.readouterr().err
