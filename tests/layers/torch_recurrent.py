"""Prints the numbers that the tests of the recurrent layers quote, by PyTorch.

Inputs are numbers that float holds exactly: element i is ((37 i + seed) mod 17 - 8) / 8.
PyTorch's gates are i, f, z, o, ours too; it gives the outputs of a reverse direction where the inputs stood.
"""
import torch


def steps(seed, *shape):
    n = int(torch.tensor(shape).prod())
    return ((37 * torch.arange(n) + seed) % 17 - 8).to(torch.float64).div(8).reshape(shape)


def show(name, y):
    y = y.detach().flatten()
    print(name, list(y.shape), "sum %.9f sum of squares %.9f" % (y.sum(), (y * y).sum()),
          ["%.9f" % v for v in y[:3]], "%.9f" % y[-1])


def fill(layer, n, inputs, gates):
    for direction, suffix in enumerate(["", "_reverse"][:2 if layer.bidirectional else 1]):
        seed = 1 + 20 * direction
        w = torch.cat([steps(seed + g, n, inputs) for g in range(gates)])
        r = torch.cat([steps(seed + 4 + g, n, n) for g in range(gates)])
        b = torch.cat([steps(seed + 8 + g, n) for g in range(gates)])
        for name, value in (("weight_ih", w), ("weight_hh", r), ("bias_ih", b), ("bias_hh", 0 * b)):
            getattr(layer, name + "_l0" + suffix).data = value


def cells(kind, gates, both=False, **more):
    layer = kind(3, 5, bidirectional=both, **more).double()
    fill(layer, 5, 3, gates)
    return layer


directions = 2
x, h, c = steps(3, 4, 2, 3), steps(4, directions, 2, 5), steps(5, directions, 2, 5)
y, (hn, cn) = cells(torch.nn.LSTM, 4)(x, (h[:1], c[:1]))
show("lstm y", y)
show("lstm h", hn)
show("lstm c", cn)
y, (hn, cn) = cells(torch.nn.LSTM, 4, True)(x, (h, c))
show("both y", y)
show("both h", hn)
show("both c", cn)
y, hn = cells(torch.nn.RNN, 1)(x, h[:1])
show("tanh y", y)
show("tanh h", hn)
y, hn = cells(torch.nn.RNN, 1, nonlinearity="relu")(x, h[:1])
show("relu y", y)
