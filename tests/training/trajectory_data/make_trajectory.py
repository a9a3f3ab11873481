#!/usr/bin/env python3
"""Writes trajectory.safetensors beside this script: two small networks trained by PyTorch. README.md defines them.

Needs PyTorch (Debian: python3-torch) and examples/data/digits_images.safetensors. One thread, float64 from float32
initial weights; prints how far the same training in float32 ends from it.
"""
import json
import pathlib
import struct

import numpy
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
IMAGES, BATCH, EPOCHS, SEED = 60, 16, 10, 3
EPSILON = 1e-3  # of the batch normalisation


def read_safetensors(path):
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    types = {"U8": numpy.uint8}
    return {name: numpy.frombuffer(content[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]],
                                   types[t["dtype"]]).reshape(t["shape"])
            for name, t in json.loads(content[8:8 + size]).items()}


def safetensors(tensors):
    names = {"float32": "F32", "int64": "I64"}
    header, data = {}, b""
    for name, values in tensors.items():
        raw = numpy.ascontiguousarray(values).tobytes()
        header[name] = {"dtype": names[values.dtype.name], "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def plain(w, x):
    h = torch.tanh(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
    return F.linear(F.avg_pool2d(h, 2).flatten(1), w["dense1.weight"], w["dense1.bias"])


def residual(w, x, frozen):
    h = F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1)
    a = torch.tanh(F.batch_norm(h, frozen["mean"], frozen["variance"], frozen["gamma"], frozen["beta"], eps=EPSILON))
    b = a + F.conv2d(a, w["conv2.weight"], w["conv2.bias"], padding=1)
    return F.linear(F.avg_pool2d(b, 2).flatten(1), w["dense1.weight"], w["dense1.bias"])


def sgd(w, g, state, _):
    for n in w:
        state[n] = 0.9 * state[n] + g[n] if n in state else g[n]
        w[n] = w[n] - 0.05 * state[n]


def adam(w, g, state, t):
    for n in w:
        m, v = state.get(n, (torch.zeros_like(w[n]), torch.zeros_like(w[n])))
        state[n] = m, v = 0.9 * m + 0.1 * g[n], 0.999 * v + 0.001 * g[n] ** 2
        w[n] = w[n] - 1e-3 * (m / (1 - 0.9 ** t)) / ((v / (1 - 0.999 ** t)).sqrt() + 1e-8)


def train(network, initial, update, images, labels, dtype):
    """Losses, gradients of the first mini-batch, final weights and logits of every image."""
    x, w, state = images.to(dtype), {n: v.to(dtype) for n, v in initial.items()}, {}
    losses, first, step = [], None, 0
    for _ in range(EPOCHS):
        for i in range(0, IMAGES, BATCH):
            step += 1
            leaves = {n: v.detach().requires_grad_() for n, v in w.items()}
            loss = F.cross_entropy(network(leaves, x[i:i + BATCH]), labels[i:i + BATCH])
            loss.backward()
            g = {n: v.grad for n, v in leaves.items()}
            losses.append(loss.item())
            first = first or dict(g)
            w = {n: v.detach() for n, v in leaves.items()}
            update(w, g, state, step)
    result = {"losses": torch.tensor(losses, dtype=dtype), "logits": network(w, x)}
    result.update({f"first_gradient.{n}": v for n, v in first.items()})
    result.update({f"final.{n}": v for n, v in w.items()})
    return result


def uniform(generator, shape, fan_in):
    return ((torch.rand(shape, generator=generator) * 2 - 1) / fan_in ** 0.5).float()


def initial_weights(generator, shapes):
    weights = {}
    for layer, shape in shapes.items():
        fan_in = int(numpy.prod(shape[1:]))
        weights[f"{layer}.weight"] = uniform(generator, shape, fan_in)
        weights[f"{layer}.bias"] = uniform(generator, shape[:1], fan_in)
    return weights


def main():
    torch.set_num_threads(1)
    digits = read_safetensors(HERE.parents[2] / "examples" / "data" / "digits_images.safetensors")
    images = torch.tensor(digits["images"][:IMAGES].astype(numpy.float32) / 16).reshape(IMAGES, 1, 8, 8)
    labels = torch.tensor(digits["labels"][:IMAGES].astype(numpy.int64))
    generator = torch.Generator().manual_seed(SEED)
    plain_weights = initial_weights(generator, {"conv1": (4, 1, 3, 3), "dense1": (10, 64)})
    residual_weights = initial_weights(generator, {"conv1": (4, 1, 3, 3), "conv2": (4, 4, 3, 3), "dense1": (10, 64)})
    frozen = {"gamma": torch.tensor([1.25, -0.75, 0.5, 1.5]), "beta": torch.tensor([0.125, -0.25, 0.375, 0.0]),
              "mean": torch.tensor([0.0625, -0.125, 0.25, 0.1875]),
              "variance": torch.tensor([0.25, 0.5, 0.125, 0.0625])}

    def with_frozen(w, x):
        return residual(w, x, {n: v.to(x.dtype) for n, v in frozen.items()})

    out = {"input.images": images, "input.labels": labels}
    out.update({f"initial.{n}": v for n, v in plain_weights.items()})
    out.update({f"residual.initial.{n}": v for n, v in residual_weights.items()})
    out.update({f"residual.batchnorm.{n}": v for n, v in frozen.items()})
    for name, network, initial, update in (("sgd", plain, plain_weights, sgd), ("adam", plain, plain_weights, adam),
                                           ("residual.sgd", with_frozen, residual_weights, sgd)):
        exact = train(network, initial, update, images, labels, torch.float64)
        single = train(network, initial, update, images, labels, torch.float32)
        worst = {}
        for n, v in exact.items():
            kind = n.split(".")[0]
            worst[kind] = max(worst.get(kind, 0), (v - single[n]).abs().max().item())
            if name != "adam" or kind != "first_gradient":  # the same as sgd.first_gradient.*
                out[f"{name}.{n}"] = v.detach().float()
        print(name, "losses", [round(v, 4) for v in exact["losses"].tolist()])
        print(name, "float32 differs by", {k: f"{v:.1e}" for k, v in worst.items()})
    content = safetensors({n: v.numpy() for n, v in out.items()})
    (HERE / "trajectory.safetensors").write_bytes(content)
    print(len(content), "bytes")


if __name__ == "__main__":
    main()
