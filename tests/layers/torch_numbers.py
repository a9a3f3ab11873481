"""Prints the numbers that the tests of convolution, pooling, batchnorm and layer_normalization quote, by PyTorch.

Inputs are numbers that float holds exactly: element i is ((37 i + seed) mod 17 - 8) / 8.
"""
import torch
import torch.nn.functional as F


def steps(seed, *shape):
    n = int(torch.tensor(shape).prod())
    return ((37 * torch.arange(n) + seed) % 17 - 8).to(torch.float64).div(8).reshape(shape)


def show(name, y):
    y = y.flatten()
    print(name, list(y.shape), "sum %.9f sum of squares %.9f" % (y.sum(), (y * y).sum()),
          ["%.9f" % v for v in y[:3]], "%.9f" % y[-1])


x = steps(1, 2, 4, 6, 5)
show("convolution", F.conv2d(x, steps(2, 6, 2, 3, 2), steps(3, 6), stride=(2, 1), padding=(1, 2), dilation=(1, 2),
                             groups=2))
show("deconvolution", F.conv_transpose2d(x, steps(2, 4, 3, 3, 2), steps(3, 6), stride=(2, 3), padding=(1, 0), groups=2))
show("dilated deconvolution", F.conv_transpose2d(x, steps(2, 4, 3, 3, 2), steps(3, 6), stride=(2, 3), padding=(1, 0),
                                                 dilation=(2, 3), groups=2))
show("maximum", F.max_pool2d(x, (3, 2), (2, 1), padding=(1, 0)))
show("average", F.avg_pool2d(x, (3, 2), (2, 2), padding=(1, 1)))
show("average without padding", F.avg_pool2d(x, (3, 2), (2, 2), padding=(1, 1), count_include_pad=False))
show("last pixel", F.max_pool2d(x, 2, 2, ceil_mode=True))
show("l2", F.lp_pool2d(x, 2, (3, 2), (2, 1)))
show("fixed", F.batch_norm(x, steps(4, 4), steps(5, 4).abs() + 0.5, steps(2, 4), steps(3, 4), eps=1e-3))
show("batch", F.batch_norm(x, None, None, steps(2, 4), steps(3, 4), training=True, eps=1e-3))
show("instance", F.instance_norm(x, None, None, steps(2, 4), steps(3, 4), eps=1e-3))
show("layer", F.layer_norm(x, (6, 5), steps(2, 6, 5), steps(3, 6, 5), eps=1e-3))
