"""Traces: what is seen of a recorded step."""

import numpy as np

from layerkit import Dense, Dropout, Identity, Network, Sequential, Sigmoid, SoftmaxCrossEntropy
from layerkit.recording import record

X, T = np.random.default_rng(0).random((5, 3)), np.array([0, 1, 1, 0, 1])


def small() -> Network:
    body = Sequential([Dense(4), Sigmoid(), Identity(), Dropout(0.5), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(3,))


def test_a_program_has_the_calls_of_the_layers() -> None:
    program = record(small(), X, T)
    calls = {(call.phase, call.address): call for call in program.calls}
    names = ["body", *(f"body.layers.{i}" for i in range(5))]
    assert set(calls) == {(phase, name) for phase in ("forward", "backward") for name in names}
    for call in calls.values():
        if call.address != "body":
            ops = program.ops[call.start : call.stop]
            assert {(op.phase, op.address) for op in ops} <= {(call.phase, call.address)}
    assert calls["forward", "body.layers.1"].outputs == calls["forward", "body.layers.2"].inputs
    assert calls["backward", "body.layers.0"].outputs == ()
