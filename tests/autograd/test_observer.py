"""An observer is told of each forward and each VJP, and of nothing after it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import autograd as ag
from autograd import Observer, Tensor, observing


class Diary(Observer):
    def __init__(self):
        self.forwards, self.vjps = [], []

    def forward(self, *arguments):
        self.forwards.append(arguments)

    def vjp(self, *arguments):
        self.vjps.append(arguments)


def leaf(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


def test_a_forward_and_its_vjp():
    x, weight = leaf(4, 3), leaf(3, 2)
    with observing(Diary()) as diary:
        y = ag.linear(x, weight)
        y.backward(np.ones((4, 2)))
    ((op, node, inputs, settings, outputs, seconds),) = diary.forwards
    assert op is ag.OPS["linear"] and node is y.node
    assert inputs[0] is x.data and inputs[1] is weight.data and inputs[2] is None
    assert isinstance(inputs, tuple) and settings == {}
    assert [output is y.data for output in outputs] == [True]
    assert 0 < seconds < 10
    ((op, vjp_node, d_outputs, gradients, seconds),) = diary.vjps
    assert op is ag.OPS["linear"] and vjp_node is node
    assert [d.tolist() for d in d_outputs] == [np.ones((4, 2)).tolist()]
    assert gradients[0].shape == (4, 3) and gradients[1] is weight.grad and gradients[2] is None
    assert 0 < seconds < 10


def test_several_inputs_and_outputs_are_tuples():
    x = leaf(4)
    with observing(Diary()) as diary:
        ag.split(x, 3)[1].sum().backward()
        ag.concat([x, x])
    split, _, concat = diary.forwards
    assert [output.shape for output in split[4]] == [(3,), (1,)]
    assert len(concat[2]) == 2 and concat[2][0] is x.data
    d_outputs = diary.vjps[-1][2]
    assert [d.tolist() for d in d_outputs] == [[0, 0, 0], [1]]


@pytest.mark.parametrize(("call", "settings"), [
    (lambda x: x.sum(keepdims=True), {"axis": None, "keepdims": True}),
    (lambda x: x.reshape(3, 2), {"shape": (3, 2)}),
    (lambda x: ag.dropout(x, 0.5, seed=1), {"p": 0.5, "seed": 1}),
    (lambda x: ag.concat([x, x], 1), {"axis": 1}),
    (lambda x: ag.linear_cross_entropy(x, x, (0, 1)), {"targets": (0, 1), "ignore_index": -1}),
])
def test_settings_are_told_by_name_however_they_were_given(call, settings):
    with observing(Diary()) as diary:
        call(Tensor(np.ones((2, 3))))
    assert diary.forwards[0][3] == settings


def test_the_innermost_observer_of_a_thread_is_told_be_it_an_empty_list():
    class Names(Observer, list):
        def forward(self, op, *others):
            self.append(op.name)

    with observing(Names()) as outer:
        leaf(1) + 1
        with observing(Names()) as inner, ThreadPoolExecutor(1) as other:
            leaf(1) * 2
            other.submit(lambda: leaf(1) @ leaf(1)).result()
        leaf(1) - 3
    leaf(1) / 4
    assert (outer, inner) == (["add", "sub"], ["mul"])


def test_an_observers_exception_ends_the_computation():
    class Stop(Observer):
        def vjp(self, op, *others):
            if op.name == "exp":
                raise ZeroDivisionError

    x, y = leaf(1), leaf(1)
    loss = ag.exp(x) + y * 2
    with pytest.raises(ZeroDivisionError), observing(Stop()):
        loss.backward()
    assert x.grad is None and y.grad is None
    (ag.exp(x) * 1).backward()  # and no observer is left behind
