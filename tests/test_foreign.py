"""Names of other libraries: each ends in a sentence that says what to write."""

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import Adam, Callback, Dense, Initializer, Network, ReLU, Sequential, fit
from layerkit.arrays import Array
from layerkit.config.options import Configurable
from layerkit.errors import ConfigError
from layerkit.foreign import ADVICE
from layerkit.guidance import Refused
from layerkit.losses.classes import SoftmaxCrossEntropy
from layerkit.metrics.metrics import OF_CLASSES, OF_NUMBERS
from layerkit.optimizers import SGD
from layerkit.progress import Record
from layerkit.training.options import Options
from layerkit.training.trainer import Trainer

NET = Network(Sequential([Dense(3), ReLU(), Dense(2)]), SoftmaxCrossEntropy(), shape=(4,))
X, T = np.zeros((6, 4)), np.arange(6) % 2
OtherPath = type("OtherPath", (type(Path()),), {})  # as on another system
RECORD, BODY = Record(1, 0.5, 1.0, 0.1), Sequential([Dense(2)])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("Adam(betas=(0.9, 0.99))", "Adam has no option 'betas'; write beta1=0.9, beta2=0.999"),
        ("Adam(0.1, (0.9, 0.99))", "(0.9, 0.99): should be a number; write beta1=0.9, beta2=0.999"),
        ("Adam(NET.params(), lr=0.1)", "gives it the parameters"),
        ("Adam(NET.params())", "should be a number; fit(network, optimizer, …) gives it the param"),
        ("SGD(momentum=0.9)", "HeavyBall(lr=0.01, beta=0.9) is the momentum of PyTorch and Keras"),
        ("HeavyBall(momentum=0.9)", "HeavyBall has no option 'momentum'; here it is called 'beta'"),
        (
            "Momentum(momentum=0.9)",
            "'beta', and v is a mean of the gradients; HeavyBall(lr",
        ),
        (
            "Dense(9, activation='relu')",
            "an activation is a layer of its own: Sequential([Dense(64)",
        ),
        ("Dense(784, 64)", 'type Initializer; in a file: {type = "…"}; the number of inputs is'),
        ("layerkit.Normal(0.0, 0.01)", "the mean is given by name: Normal(0.01, mean=0.0)"),
        ("LayerNorm(64)", "the number of features is found by itself: LayerNorm()"),
        ("Softmax(dim=1)", "Softmax has no option 'dim'; here it is called 'axis'"),
        ("Sequential(Dense(2), ReLU)", "give them as a list: Sequential([Dense(64), ReLU()])"),
        (
            "Sequential(Dense(2))",
            "layers = Dense(units=2): should be a list such as [Dense(units=2)]",
        ),
        (
            "Network(BODY, SoftmaxCrossEntropy(), 2)",
            "Network.shape = 2: should be a list or tuple such as (2,)",
        ),
        ("Network(BODY, 'mse', (2,))", "type Loss (here it is called 'MeanSquaredError'); in a"),
        ("Network([Dense(2)], 'mse', (2,))", "; write Sequential([…])"),
        ("fit(NET, Adam(), X, T, callbacks=EarlyStopping(2))", "such as [EarlyStopping(patience=2"),
        ("fit(NET, Adam(), X, T, callbacks=EarlyStopping)", "write callbacks=[EarlyStopping()], "),
        ("fit(NET, Adam(), X, T, checkpoints='a')", "; write Checkpoints(folder)"),
        ("fit(NET, Adam(), X, T, checkpoints=OtherPath('a'))", "; write Checkpoints(folder)"),
        ("SGD(dampening=0.5)", "Momentum(lr=0.1, beta=0.9) has a dampening of beta"),
        (
            "fit(NET, Adam(), X, T, verbose=1)",
            "nothing is printed; write callbacks=[ProgressBar()]",
        ),
        ("fit(NET, Adam(), X, T, shuffle=True)", "the order is drawn anew for each epoch"),
        ("fit(NET, Adam(), X, T, validation_data=(X, T))", "here it is called 'validation'"),
        ("fit(NET, Adam(), X, T, validation_split=0.2)", "validation=(x_validation, t_validation)"),
        ("fit(NET, Adam(), X, y=T)", "a training run has no option 'y'; here it is called 't'"),
        ("fit(NET, Adam(), X, T, test=(X, T), metrics=repr)", "should be a list such as [repr]"),
        ("fit(NET, Adam(), X, T, test=(X, T), metrics=['acc'])", "accuracy is always measured"),
        ("fit(NET, Adam(), X, T, test=(X, T), metrics=['f1_score'])", "here it is called 'f1'"),
        ("Adam().learning_rate", "Adam has no attribute 'learning_rate'; here it is called 'lr'"),
        ("setattr(Adam(), 'learning_rate', 1)", "'learning_rate'; here it is called 'lr'"),
        ("Adam().zero_grad()", "leave it out: gradients are overwritten, not added up"),
        (
            "RECORD.val_loss",
            "Record has no attribute 'val_loss'; here it is called 'validation_loss'",
        ),
        ("RECORD.loss", "Record has no attribute 'loss'; here it is called 'train_loss'"),
        ("NET.fit(X, T)", "Network has no attribute 'fit'; write fit(network, optimizer, x, t, ep"),
        ("NET.parameters()", "write network.params()"),
        ("NET.state_dict()", 'write network.save("model.safetensors")'),
        ("NET(X)", "Network is not called; write network.predict(x), or network.outputs(x)"),
        ("NET.body(X)", "Sequential is not called; write layer.forward(x)"),
        ("NET.loss(X, T)", "SoftmaxCrossEntropy is not called; write loss.mean(z, t)"),
        ("NET.body[0].weight", "Dense has no attribute 'weight'; the array is layer.W.value"),
        ("NET.body[0].W.data", "Param has no attribute 'data'; here it is called 'value'"),
        ("BODY.append(ReLU())", "give all layers at once"),
        ("Dense(2).W", "Dense has no attribute 'W'; it is not built: put it into a Network first"),
        (
            "layerkit.Linear(3)",
            "module 'layerkit' has no attribute 'Linear'; here it is called 'Dense'",
        ),
        (
            "layerkit.Sequentail",
            "module 'layerkit' has no attribute 'Sequentail'; did you mean 'Seq",
        ),
        ("layerkit.load('a')", 'write Network.load("model.safetensors")'),
        ("train(NET, Adam(), X, T).records", "write trainer.progress.records"),
        ("train(NET, Adam(), X, T).progress.model", "here it is called 'network'"),
    ],
)
def test_calls_of_other_libraries_end_in_a_sentence_that_says_what_to_write(
    call: str, sentence: str
) -> None:
    with pytest.raises((ConfigError, AttributeError, TypeError), match=re.escape(sentence)):
        eval(call, {**vars(layerkit), **globals()})


def test_advice_is_about_classes_and_names_that_exist() -> None:
    written = [layerkit.Network, layerkit.Record, layerkit.Progress, layerkit.State, Trainer]
    families = [layerkit.Layer, layerkit.Loss, layerkit.Optimizer, layerkit.Schedule, Initializer]
    kinds: dict[str, Any] = {cls.__name__: cls for cls in [*written, *families, Callback]}
    kinds = Configurable.registry | kinds | {"metrics": Any, "layerkit": layerkit}
    told = vars(layerkit).keys() | kinds.keys() | {"CPU", "PyTorch", "Keras", "True", "NumPy"}
    for kind, table in ADVICE.items():
        known = {*dir(kinds[kind]), *getattr(kinds[kind], "__dataclass_fields__", ())}
        made = vars(Adam()).keys() | vars(layerkit.Progress(NET, Adam(), 1)).keys()
        known |= made | Options.__annotations__.keys()
        for names, text in table.items():
            assert set(re.findall(r"\b[A-Z]\w+", text)) <= told, text
            assert not text.isidentifier() or text in known | {*OF_CLASSES, *OF_NUMBERS}, text
            own = vars(kinds[kind]).keys() & {*names.split()} - {"__call__"}
            own -= {name for name in own if isinstance(vars(kinds[kind])[name], Refused)}
            assert not own, f"{kind} has {own}, so nothing is ever said"


def test_guidance_leaves_python_as_it_is() -> None:
    class Halved(layerkit.Layer):
        @property
        def wrong(self) -> Any:
            return getattr(self.address, "nothing")  # noqa: B009

        def forward(self, x: Array, train: bool = True) -> Array:
            return x / 2

        def backward(self, dy: Array) -> Array:
            return dy / 2

    for part in (NET, NET.body, Adam(), RECORD, NET.loss, Dense(3)):
        assert not hasattr(part, "fit")
        assert repr(copy.deepcopy(part)) == repr(pickle.loads(pickle.dumps(part))) == repr(part)
    with pytest.raises(AttributeError, match="'str' object has no attribute 'nothing'"):
        Halved().wrong  # noqa: B018


@pytest.mark.parametrize("name", ["trainable", "requires_grad"])
def test_what_does_not_freeze_is_refused(name: str) -> None:
    for address in ("body.layers.0", "body.layers.2.W"):
        with pytest.raises(AttributeError, match=re.escape('rates={"body.layers.0.*": 0}')):
            setattr(NET[address], name, False)


@pytest.mark.parametrize(
    ("place", "name", "sentence"),
    [
        ("optimizer", "momentum", "optimizer.momentum = 0.9: has no effect; HeavyBall(lr=0.01"),
        ("network", "optimizer", "network.optimizer = 0.9: has no effect; fit takes it"),
        ("body", "weight", "body.weight = 0.9: has no effect; the array is layer"),
        (
            "body",
            "W",
            "body.W: something was assigned in the place of the parameter: write",
        ),
    ],
)
def test_what_was_assigned_in_vain_is_refused_by_a_training(
    place: str, name: str, sentence: str
) -> None:
    net, optimizer = layerkit.Network(Dense(3), SoftmaxCrossEntropy(), X.shape[1:]), SGD()
    parts: dict[str, Any] = {"optimizer": optimizer, "network": net, "body": net.body}
    setattr(parts[place], name, 0.9)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        fit(net, optimizer, X, T)
