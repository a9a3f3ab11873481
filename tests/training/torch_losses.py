"""Prints the numbers that the tests of binary_cross_entropy_with_logits and huber quote, by PyTorch.

Element i of x is ((37 i + 1) mod 17 - 8) / 2, of the target ((23 i + 5) mod 17 - 8) / 4, and of the target of the
cross-entropy ((23 i + 5) mod 17) / 16, which float holds exactly.
"""
import torch
import torch.nn.functional as F

i = torch.arange(6)
target = ((23 * i + 5) % 17 - 8).to(torch.float64)


def show(name, loss):
    x = ((37 * i + 1) % 17 - 8).to(torch.float64).div(2).requires_grad_()
    value = loss(x)
    value.backward()
    print(name, "%.12f" % value, ["%.12f" % g for g in x.grad])


show("entropy", lambda x: F.binary_cross_entropy_with_logits(x, target.add(8).div(16)))
show("huber, delta 1", lambda x: F.huber_loss(x, target.div(4)))
show("huber, delta 2.5", lambda x: F.huber_loss(x, target.div(4), delta=2.5))
