import copy
import math
import pickle
import re
from dataclasses import field, replace
from inspect import signature
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from sklearn.base import clone

from layerkit import (
    SGD,
    Adam,
    Array,
    ConfigError,
    Configurable,
    Decay,
    Dense,
    HeNormal,
    Initializer,
    Layer,
    Loss,
    Network,
    Optimizer,
    Rate,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    ShapeError,
    Sigmoid,
    Size,
    SoftmaxCrossEntropy,
    Training,
    evaluate,
    from_config,
    to_config,
)
from layerkit.callbacks import CSVLog
from layerkit.optimizers.schedules import ConstantSchedule, CosineSchedule

TABLE: dict[str, Any] = {
    "type": "Network",
    "body": {
        "type": "Sequential",
        "layers": [
            {"type": "Dense", "units": 4, "init": {"type": "HeNormal"}},
            {"type": "ReLU"},
            {"type": "Sequential", "layers": [{"type": "Dense", "units": 2}]},
        ],
    },
    "loss": {"type": "SoftmaxCrossEntropy"},
    "shape": [3],
    "dtype": "float64",
}


def test_plain_data_and_objects_are_the_same_thing() -> None:
    network = from_config(TABLE, Network)
    assert network == Network(
        Sequential([Dense(4, init=HeNormal()), ReLU(), Sequential([Dense(2)])]),
        SoftmaxCrossEntropy(),
        shape=(3,),
        dtype="float64",
    )
    assert from_config(to_config(network), Network) == network
    assert eval(repr(network), dict(Configurable.registry)) == network


def test_a_table_is_left_alone() -> None:
    table = {"type": "Dense", "units": 2, "init": {"type": "HeNormal"}}
    from_config(table, Layer)  # type: ignore[type-abstract]
    assert table == {"type": "Dense", "units": 2, "init": {"type": "HeNormal"}}


@pytest.mark.parametrize(
    ("table", "sentences"),
    [
        ({"type": "Dens", "units": 1}, ["type = 'Dens': unknown; did you mean 'Dense'?"]),
        ({"type": "dense", "units": 1}, ["type = 'dense': unknown; did you mean 'Dense'?"]),
        ({"type": "SGD"}, ["type = 'SGD': is not a Layer"]),
        ({"type": "Layer"}, ["type = 'Layer': is a whole family; one of "]),
        ({"type": 3}, ["type = 3: unknown"]),
        ({"units": 3}, ["type: missing; one of "]),
        ({"type": "Dense"}, ["units: missing; Dense needs it"]),
        (
            {"type": "Dense", "unit": 1},
            ["unit: Dense has no such option; did you mean 'units'?", "units: missing"],
        ),
        ({"type": "ReLU", "units": 1}, ["units: ReLU has no such option; it has none"]),
        ({"type": "Dense", "units": -1}, ["units = -1: should be greater than 0"]),
        ({"type": "Dense", "units": 0}, ["units = 0: should be greater than 0"]),
        ({"type": "Dense", "units": True}, ["units = True: should be a whole number"]),
        ({"type": "Dense", "units": 1.0}, ["units = 1.0: should be a whole number"]),
        ({"type": "Dense", "units": "1"}, ["units = '1': should be a whole number"]),
        (
            {"type": "Dense", "units": 1, "init": "He"},
            ["should be of type Initializer (here it is called 'HeNormal'); in a file: {type = "],
        ),
        (
            {"type": "Dense", "units": 1, "init": "HeNormal"},
            ["init = 'HeNormal': should be of type Initializer; in a file: {type = \"HeNormal\"}"],
        ),
        ({"type": "Activation"}, ["type = 'Activation': unknown; an activation is a layer"]),
        (
            {"type": "Dense", "units": 1, "init": {"type": "ReLU"}},
            ["init.type = 'ReLU': is not an Initializer"],
        ),
        ({"type": "Sequential", "layers": []}, ["should not be empty"]),
        ({"type": "Sequential", "layers": [3]}, ["layers.0 = 3: should be of type Layer"]),
        (
            {
                "type": "Sequential",
                "layers": [
                    {"type": "Dense", "units": 0},
                    {"type": "Sigmoyd"},
                    {"type": "Sequential", "layers": [{"type": "Dense", "unit": 2}]},
                ],
            },
            [
                "layers.0.units = 0: should be greater than 0",
                "layers.1.type = 'Sigmoyd': unknown; did you mean 'Sigmoid'?",
                "layers.2.layers.0.unit: Dense has no such option",
                "layers.2.layers.0.units: missing",
            ],
        ),
    ],
)
def test_all_that_is_wrong_is_said_at_once_with_its_place(
    table: dict[str, Any], sentences: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_config(table, Layer)  # type: ignore[type-abstract]
    lines = str(caught.value).split("\n")
    assert len(lines) == len(sentences)
    for line, sentence in zip(lines, sentences, strict=True):
        assert line.startswith(sentence) or sentence in line


@pytest.mark.parametrize(
    ("wanted", "table", "sentence"),
    [
        (
            Optimizer,
            {"type": "SGD", "lr": {"type": "CosineSchedule"}},
            r"lr = CosineSchedule\(.*\): should be a number; write .* in a file, schedules.lr = {",
        ),
        (
            Optimizer,
            {"type": "SGD", "schedules": {"type": "CosineSchedule"}},
            r"schedules = CosineSchedule\(.*\): should be a table; write .* schedules.lr = {",
        ),
        (Training, {"checkpoints": True}, r"in a file: {folder = …, every = …, keep = …}$"),
    ],
)
def test_a_value_in_another_place_is_led_to_its_own(
    wanted: Any, table: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_config(table, wanted)


@pytest.mark.parametrize("table", [[], [{"type": "ReLU"}], "ReLU", 3, None, True])
def test_what_is_not_a_table_is_refused(table: Any) -> None:
    with pytest.raises(ConfigError):
        from_config(table, Layer)  # type: ignore[type-abstract]


def test_what_the_parts_refuse_together_has_its_place() -> None:
    body = {"type": "Sequential", "layers": [{"type": "Reshape", "shape": [2, 2]}]}
    with pytest.raises(
        ConfigError, match=r"body\.layers\.0: Reshape.* takes examples of 4 numbers"
    ):
        from_config({**TABLE, "body": body}, Network)


class Options(Configurable):
    """One option of each kind."""

    size: Size = 1
    rate: Rate = 1.0
    decay: Decay = 0.0
    name: str | None = None
    layer: Layer | None = None
    sizes: list[Size] = field(default_factory=list)


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        ("size", np.int64(3), 3),
        ("rate", 2, 2.0),
        ("rate", np.float32(0.5), 0.5),
        ("decay", 0, 0.0),
        ("name", None, None),
        ("name", "a", "a"),
        ("layer", ReLU(), ReLU()),
        ("sizes", [1, 2], [1, 2]),
    ],
)
def test_values_that_mean_the_same_are_taken(option: str, value: Any, kept: Any) -> None:
    made = Options(**{option: value})
    assert getattr(made, option) == kept
    assert type(getattr(made, option)) is type(kept)
    assert from_config(to_config(made), Options) == made


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("size", 0),
        ("size", True),
        ("size", 2.0),
        ("size", np.float64(2)),
        ("size", np.bool_(True)),
        ("rate", math.nan),
        ("rate", np.float64("nan")),
        ("rate", math.inf),
        ("rate", True),
        ("rate", "0.1"),
        ("decay", 1),
        ("name", 3),
        ("layer", SGD()),
        ("sizes", [1, 0]),
        ("sizes", 3),
    ],
)
def test_values_that_cannot_be_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^Options\.{option}\b.* = .*: should be"):
        Options(**{option: value})


def test_a_class_for_an_object_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"layer = .*is a class; should be .* such as ReLU\(\)"):
        Options(layer=ReLU)  # type: ignore[arg-type]


def test_a_default_that_all_objects_would_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Shared\.init = HeNormal.*write init: Initializer = fi"):

        class Shared(Configurable):
            init: Initializer = HeNormal()


@pytest.mark.parametrize(("theirs", "ours"), [("Linear", "Dense"), ("swish", "SiLU")])
def test_names_of_other_libraries_lead_to_ours(theirs: str, ours: str) -> None:
    with pytest.raises(ConfigError, match=f"'{theirs}': unknown; here it is called '{ours}'"):
        from_config({"type": theirs}, Layer)  # type: ignore[type-abstract]


def test_python_and_files_give_the_same_sentence() -> None:
    sentences = []
    for python in (True, False):
        with pytest.raises(ConfigError) as caught:
            _ = Dense(-1) if python else from_config({"type": "Dense", "units": -1}, Dense)
        sentences.append(str(caught.value).removeprefix("Dense."))
    assert sentences[0] == sentences[1] == "units = -1: should be greater than 0"


def test_two_classes_of_one_name_are_refused() -> None:
    before = Configurable.registry["Dense"]
    with pytest.raises(ConfigError, match=re.escape("taken by layerkit.layers.dense.Dense")):
        type("Dense", (Layer,), {"__module__": "elsewhere"})
    assert Configurable.registry["Dense"] is before


def test_a_class_that_is_defined_again_replaces_itself() -> None:
    first, second = (type("Again", (ReLU,), {"__module__": "notebook"}) for _ in range(2))
    assert first is not second
    assert Configurable.registry["Again"] is second


def test_local_and_private_classes_are_unknown_to_files_but_work() -> None:
    class Local(Configurable):
        size: Size = 1

    private = type("_Private", (Local,), {"__module__": "own"})
    assert {"Local", "_Private"}.isdisjoint(Configurable.registry)
    assert Local() == Local(1) != Local(2)
    assert private(3).size == 3
    assert from_config(to_config(Local(2)), Local) == Local(2)
    with pytest.raises(ConfigError, match=r"type = 'Local': unknown; .* first: --import FILE.py\)"):
        from_config(to_config(Local(2)), Layer)  # type: ignore[type-abstract]


def test_a_local_class_cannot_take_the_name_of_a_registered_one() -> None:
    with pytest.raises(ConfigError, match=r"the name Options is taken by .*test_options\.Options"):

        class Options(Configurable):
            pass


class Point(Configurable):
    """Options of all kinds: by position and by name, with and without a default."""

    x: float
    label: str = field(kw_only=True)
    y: float = 2.0
    tags: list[str] = field(default_factory=list, kw_only=True)
    z: float = 3.0


def test_options_are_given_by_position_or_by_name() -> None:
    point = Point(1.0, 5.0, label="a")
    assert vars(point) == {"x": 1.0, "y": 5.0, "z": 3.0, "label": "a", "tags": []}
    assert point == Point(label="a", y=5, x=1)
    assert point.tags is not Point(1.0, label="a").tags
    assert replace(point, z=0.0) == Point(1.0, 5.0, 0.0, label="a")
    assert copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point


class Powers(Loss):
    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.factor = 1 / self.power

    def losses(self, z: Array, t: Array) -> Array:
        self.error = z - t
        return self.factor * (abs(self.error) ** self.power).sum(axis=-1)

    def gradients(self) -> Array:
        return np.sign(self.error) * abs(self.error) ** (self.power - 1)


class Shifts(Layer):
    by: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shift = 2 * self.by

    def forward(self, x: Array, train: bool = True) -> Array:
        return x + self.shift

    def backward(self, dy: Array) -> Array:
        return dy


def test_a_layer_is_as_before_when_its_network_is_refused() -> None:
    layer = Shifts()
    with pytest.raises(ShapeError):
        Network(layer, SoftmaxCrossEntropy(), shape=(1,))
    assert Network(layer, Powers(), shape=(1,)).outputs([[1.0]]) == 3.0


def test_a_named_tuple_is_a_tuple() -> None:
    class Image(NamedTuple):
        height: int
        width: int

    assert Reshape(Image(2, 3)) == Reshape((2, 3))


def test_copies_have_what_is_made_of_the_options() -> None:
    assert copy.deepcopy(Powers(4.0)).factor == pickle.loads(pickle.dumps(Powers(4.0))).factor
    net = Network(Dense(1), Powers(), shape=(1,))
    assert evaluate(net, [[0.0]], [3.0])[1] == 4.5


@pytest.mark.parametrize(
    ("values", "options", "sentence"),
    [
        ((), {"label": "a"}, "Point.x: missing; Point needs it"),
        ((), {}, "Point.x: missing; Point needs it\nPoint.label: missing; Point needs it"),
        ((1.0,), {"lable": "a"}, "Point has no option 'lable'; did you mean 'label'?"),
        ((1.0,), {"q": 1}, "Point has no option 'q'; known are x, y, z, label, tags"),
        ((1.0,), {"x": 1.0, "label": "a"}, "Point.x: given twice, by position and by name"),
        (
            (1.0, 2.0, 3.0, "a"),
            {},
            "Point: 4 values are given by position; it takes 3: x, y, z",
        ),
        ((1.0, "b"), {"label": 3}, "Point.label = 3: should be a string\nPoint.y = 'b': should be"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    values: tuple[Any, ...], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Point(*values, **options)
    assert str(caught.value).startswith(sentence)
    assert "\n" in sentence or "\n" not in str(caught.value)


def test_names_of_other_libraries_lead_to_our_options() -> None:
    with pytest.raises(ConfigError, match=r"^Adam has no option 'wd'; known are lr, beta1, "):
        Adam(wd=0.1)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"^ReLU: 1 values .* it takes none$"):
        ReLU(1)  # type: ignore[call-arg]


def test_the_signature_shows_the_options() -> None:
    assert list(signature(Dense).parameters) == ["units", "init", "bias"]
    assert str(signature(Point)) == (
        "(x: float, y: float = 2.0, z: float = 3.0, *, label: str, tags: list[str] = [])"
    )


def test_a_constructor_of_your_own_is_refused() -> None:
    sentence = "^Halved has an __init__, of which files and copies would know nothing: declare its"
    with pytest.raises(ConfigError, match=sentence):

        class Halved(Configurable):
            def __init__(self, twice: int) -> None:
                self.units = twice // 2


def test_options_have_an_order_in_which_they_can_be_given() -> None:
    with pytest.raises(ConfigError, match=r"^Late\.units: needs a default, since rate before it"):

        class Late(Configurable):
            rate: Rate = 1.0
            units: Size  # type: ignore[misc]


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (Dense(2), Dense(3)),
        (Dense(2), Dense(2, init=HeNormal())),
        (SGD(), SGD(lr=1)),
        (SGD(), Adam()),
    ],
)
def test_equality_is_that_of_class_and_options(part: Configurable, other: Configurable) -> None:
    assert part != other
    assert part == from_config(to_config(part), type(part))


class Holder(Configurable):
    """Parts of a family, and of one class."""

    optimizer: Optimizer
    sgd: SGD = field(default_factory=SGD)


def test_where_a_field_names_a_class_the_type_may_be_left_out() -> None:
    holder = from_config({"optimizer": {"type": "Adam"}, "sgd": {"lr": 0.5}}, Holder)
    assert holder == Holder(Adam(), SGD(lr=0.5))
    table = to_config(holder)["sgd"]
    assert table["lr"] == 0.5
    assert "type" not in table


def test_activations_have_no_options() -> None:
    assert to_config(Sigmoid()) == {"type": "Sigmoid"}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, "class_weight = 3: should be 'balanced', a list such as [3.0] or a table"),
        ("balance", "class_weight = 'balance': should be 'balanced', a list or a table"),
        ([1.0, -1.0], "class_weight.1 = -1.0: should be greater than or equal to 0"),
        ({"a": 1.0, "b": "x"}, "class_weight.b = 'x': should be a number"),
    ],
)
def test_where_several_types_are_allowed_a_sentence_says_all(value: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Training(class_weight=value)
    assert str(caught.value) == f"Training.{sentence}"
    with pytest.raises(ConfigError) as caught:
        from_config({"class_weight": value}, Training)
    assert str(caught.value) == sentence


def test_a_path_is_a_string_or_a_path() -> None:
    with pytest.raises(ConfigError, match=r"^CSVLog.path = 3: should be a string or a path$"):
        CSVLog(cast(Any, 3))


def test_options_are_known_by_their_addresses() -> None:
    body = Sequential([Dense(8), Residual(Dense(4))])
    assert {"layers__0__units", "layers__1__body", "layers__0__init"} <= body.get_params().keys()
    body.set_params(layers__0__units=3, layers__0=Dense(5), layers__1__body__units=3)
    assert body == Sequential([Dense(3), Residual(Dense(3))])
    adam = Adam(schedules={"lr": ConstantSchedule()}).set_params(
        schedules__lr=CosineSchedule(), lr=0.1
    )
    assert adam == Adam(lr=0.1, schedules={"lr": CosineSchedule()})
    same = clone(adam)
    assert same == adam
    assert same is not adam


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layers__0__unit": 1}, "no option 'layers__0__unit'; did you mean 'layers__0__units'"),
        ({"layers__2": ReLU()}, "no option 'layers__2'"),
        ({"layers__0__units": -1}, r"Dense.units = -1: should be greater than 0"),
        ({"layers": []}, "Sequential.layers"),
        ({"layers__1": 7}, "layers.1 = 7: should be of type Layer"),
        ({"layers__0__units": 3, "layers__1": 7}, "layers.1 = 7: should be of type Layer"),
        ({"layers__0__units": 3, "layers__1__alpha": 1}, "no option 'layers__1__alpha'"),
    ],
)
def test_addresses_and_values_that_are_wrong_change_nothing(
    params: dict[str, Any], message: str
) -> None:
    body = Sequential([Dense(8), ReLU()])
    with pytest.raises(ConfigError, match=message):
        body.set_params(**params)
    assert body == Sequential([Dense(8), ReLU()])


def test_what_is_built_keeps_its_options() -> None:
    net = Network(Sequential([Dense(8), ReLU()]), SoftmaxCrossEntropy(), shape=(2,))
    for part in (net, net.body, net["body.layers.0"]):
        with pytest.raises(ConfigError, match="is built already"):
            part.set_params(dtype="float64")  # type: ignore[union-attr]
