#!/usr/bin/env python3
"""Makes tests/fuzz/corpus/safetensors, tests/fuzz/corpus/checkpoint and tests/fuzz/corpus/mlmodel again: small files,
good and bad, one for each branch of the parsers."""
import json
import pathlib
import struct

folder = pathlib.Path(__file__).parent / "corpus" / "safetensors"


def save(name, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (folder / name).write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


folder.mkdir(parents=True, exist_ok=True)
save("empty", {})
save("layer", {"__metadata__": {"format": "pt"}, "fc.weights": entry("F32", [2, 3], 0, 24),
               "fc.bias": entry("F32", [2], 24, 32)},
     struct.pack("<8f", *range(8)))
types = {"F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
         "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
header, size = {}, 0
for name, width in types.items():
    header[name.lower()] = entry(name, [1, 1], size, size + width)
    size += width
save("types", header, bytes(i * 37 % 256 for i in range(size)))
save("scalar_and_nothing", {"s": entry("F32", [], 0, 4), "n": entry("F64", [0, 3], 4, 4)},
     struct.pack("<f", float("nan")))
save("unicode", {"caf\u00e9 \"\\\n\U0001f600": entry("U8", [1], 0, 1)}, b"x")
save("rank_9", {"a": entry("U8", [1] * 9, 0, 1)}, b"x")
save("overlap", {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6))
save("hole", {"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, bytes(3))
save("absurd_shape", {"a": entry("F32", [1 << 60, 16], 0, 4)}, bytes(4))
save("absurd_offsets", {"a": entry("F32", [1], (1 << 63) - 4, 1 << 63)}, bytes(4))
save("absurd_header", {}, length=1 << 60)
save("negative", {"a": entry("F32", [-1], 0, -4)}, bytes(4))
save("twice", b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
     b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}')
save("deep", b'{"a":' + b"[" * 80 + b"]" * 80 + b"}")
save("numbers", b'{"a":[1e999,1E-5,-0,0.5,18446744073709551616,true,false,null]}')

# --- checkpoint: of the task that tests/fuzz/checkpoint.cpp makes ---

folder = pathlib.Path(__file__).parent / "corpus" / "checkpoint"
folder.mkdir(parents=True, exist_ok=True)


def mixed(data, value):
    for i in range(0, len(data), 8):
        value = (value ^ int.from_bytes(data[i:i + 8], "little")) * 0x100000001b3 % (1 << 64)
        value ^= value >> 32
    return value


def save_checkpoint(name, facts, tensors, metadata=None):
    text = json.dumps(facts, separators=(",", ":"), sort_keys=True)
    number, header, data = 0xcbf29ce484222325, {}, b""
    for tensor, (dtype, shape, content) in sorted(tensors.items()):
        number = mixed(content, mixed(tensor.encode(), number))
        header[tensor] = entry(dtype, shape, len(data), len(data) + len(content))
        data += content
    number = mixed(text.encode(), mixed(b"checkpoint", number))
    header["__metadata__"] = {"checkpoint": text, "checkpointId": f"{number:016x}"} if metadata is None else metadata
    save(name, header, data)


def reals(shape, *values):
    return "F32", shape, struct.pack(f"<{len(values)}f", *values)


examples = 0
for values in [1, 2, 3, -4, 0.5, 1], [1, 0, -1]:
    content = reals([], *values)[2]
    examples = mixed(content, examples ^ len(content))
tensors = {"frozen.stem.weights": reals([2, 2], 1, 0.5, -1, 2), "frozen.stem.bias": reals([2], 0, 1),
           "learning.y.weights": reals([1, 2], 0.5, -0.5), "learning.y.bias": reals([1], 0.25)}
for moment in "moment0", "moment1":
    tensors |= {moment + ".y.weights": reals([1, 2], 0.125, 0.5), moment + ".y.bias": reals([1], 0.5)}
facts = {"version": 1, "steps": 4, "moments": 2, "optimizer": "clip_by_global_norm, adam",
         "layers": ["innerProduct", "activation.tanh", "innerProduct"], "losses": ["meanSquaredErrorLossLayer"],
         "notes": {},
         "hyperParameters": {"0.limit": 1, "1.learning_rate": 0.25, "1.beta1": 0.9, "1.beta2": 0.999, "1.eps": 1e-8}}
settings = {"epochs": 3, "mini_batch_size": 1, "shuffle": True, "seed": 0, "learning_rate": 0.25}
task = {"metrics.loss": 0.5, "metrics.epoch": 1, "metrics.mini_batch": 0, "epoch": 1, "mini_batch": 1, "first": 1,
        "sum": 0.5, "shuffle": True, "seed": 0, "examples": 3, "examples_id": examples}
for prefix in "begun.", "settings.":
    task |= {prefix + name: value for name, value in settings.items()}
save_checkpoint("task", facts | {"task": task}, tensors)
save_checkpoint("trainer", facts | {"notes": {"epoch": "3"}}, tensors)
save_checkpoint("infinite", facts | {"hyperParameters": facts["hyperParameters"] | {"0.limit": "Infinity"}}, tensors)
save_checkpoint("lacks_one", facts, {name: t for name, t in tensors.items() if name != "moment1.y.bias"})
save_checkpoint("one_more", facts, tensors | {"more": reals([1], 1)})
save_checkpoint("shape", facts, tensors | {"learning.y.weights": reals([2, 1], 1, 2)})
save_checkpoint("dtype", facts, tensors | {"learning.y.bias": ("I32", [1], bytes(4))})
save_checkpoint("not_finite", facts, tensors | {"learning.y.bias": reals([1], float("nan"))})
save_checkpoint("no_facts", facts, tensors, {"format": "pt"})
save_checkpoint("other_id", facts, tensors, {"checkpoint": "{}", "checkpointId": "0" * 16})
(folder / "facts").write_text(json.dumps(facts | {"task": task}, separators=(",", ":")))
(folder / "far").write_text(json.dumps(facts | {"steps": (1 << 64) - 1, "task": task | {
    "epoch": (1 << 63) - 1, "settings.epochs": (1 << 63) - 1, "mini_batch": 3, "first": 3,
    "metrics.epoch": (1 << 63) - 1, "metrics.mini_batch": (1 << 63) - 1, "settings.mini_batch_size": (1 << 63) - 1,
    "settings.learning_rate": 1e300, "sum": "-Infinity"}}, separators=(",", ":")))

# --- mlmodel: the numbers of the fields as the specification gives them, not as the library's tables do ---

folder = pathlib.Path(__file__).parent / "corpus" / "mlmodel"
folder.mkdir(parents=True, exist_ok=True)


def varint(value):
    value %= 1 << 64
    text = b""
    while value > 127:
        text += bytes([value & 127 | 128])
        value >>= 7
    return text + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def sized(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def floats(*values):
    return sized(1, struct.pack(f"<{len(values)}f", *values))


def array(name, *shape):
    extents = sized(1, b"".join(varint(e) for e in shape)) if shape else b""
    return sized(1, name) + sized(3, sized(5, extents + number(2, 65568)))


def model(inputs, outputs, kind, network, more=b""):
    description = b"".join(sized(1, f) for f in inputs) + b"".join(sized(10, f) for f in outputs) + more
    return number(1, 4) + sized(2, description) + sized(kind, network + number(5, 1))


def layer(name, inputs, outputs, kind, params):
    return sized(1, sized(1, name) + b"".join(sized(2, n) for n in inputs) + b"".join(sized(3, n) for n in outputs) +
                 sized(kind, params))


x_to_y = ([array("x", 2)], [array("y")])
product = layer("l", ["x"], ["y"], 140, number(1, 2) + number(2, 2) + number(10, 1) +
                sized(20, floats(1, 2, 3, 4)) + sized(21, floats(0.5, -0.5)))
metadata = sized(100, sized(3, "bespoke") + sized(100, sized(1, "key") + sized(2, "value")))
save_model = lambda name, text: (folder / (name + ".mlmodel")).write_bytes(text)
save_model("inner_product", model(*x_to_y, 500, product, metadata))
save_model("classifier", model(
    [array("x", 2)],
    [sized(1, "label") + sized(3, sized(1, b"")), sized(1, "p") + sized(3, sized(6, sized(1, b"")))], 403,
    layer("fc", ["x"], ["fc"], 140, number(1, 2) + number(2, 2) +
          sized(20, sized(2, struct.pack("<4e", 1, -2, 0.5, 1)))) +
    layer("soft", ["fc"], ["soft"], 950, number(1, -1)) + sized(10, sized(3, number(1, 3))) +
    sized(101, sized(1, varint(5) + varint(7))),
    sized(11, "label") + sized(12, "p")))
twice = layer("twice", ["y"], ["z"], 231, struct.pack("<Bf", 0x0d, 2)) + layer("back", ["z"], ["y"], 600, b"")
copy = layer("start", ["x"], ["y"], 600, b"")
save_model("nested", model([array("x", 1)], [array("y")], 500,
                           copy + layer("three", [], [], 615, number(1, 3) + sized(4, twice))))
save_model("branch", model([array("x", 1)], [array("y")], 500, layer(
    "b", ["x"], [], 605, sized(1, layer("a", ["x"], ["y"], 600, b"")) +
    sized(2, layer("c", ["x"], ["y"], 130, sized(5, struct.pack("<BfBf", 0x0d, 2, 0x15, 1)))))))
save_model("unpacked", model(*x_to_y, 500, layer("l", ["x"], ["y"], 1140, number(1, -1) + number(1, 2))))
save_model("quantized", model(*x_to_y, 500, layer("l", ["x"], ["y"], 140, number(1, 2) + number(2, 2) + sized(20, sized(
    30, b"\x1b") + sized(40, number(1, 2) + sized(101, sized(1, struct.pack("<f", 0.5)) +
                                                  sized(2, struct.pack("<f", -1))))))))
save_model("no_layer_type", model(*x_to_y, 500, sized(1, sized(1, "l") + sized(2, "x") + sized(3, "y"))))
save_model("unknown_field", model(*x_to_y, 500, layer("l", ["x"], ["y"], 3000, b"")))
save_model("wire_type", model(*x_to_y, 500, layer("l", ["x"], ["y"], 140, sized(1, "2"))))
save_model("group", b"\x0b\x0c")
save_model("long_varint", b"\x08" + b"\xff" * 11)
save_model("absurd_size", sized(2, b"")[:1] + varint(1 << 62) + b"xyz")
save_model("not_utf8", model(*x_to_y, 500, product, sized(11, b"\xed\xa0\x80")))
deep = b""
for _ in range(40):
    deep = sized(1, sized(605, sized(1, deep)))
save_model("deep", model(*x_to_y, 500, deep))
save_model("pipeline", number(1, 4) + sized(202, sized(1, number(1, 4))))
picture = lambda name: sized(1, name) + sized(3, sized(4, number(1, 2) + number(2, 1) + number(3, 20)))
real = lambda field, value: varint(field << 3 | 5) + struct.pack("<f", value)
save_model("images", model([picture("x")], [picture("y")], 500, layer("l", ["x"], ["y"], 600, b"") +
    sized(2, sized(1, "x") + sized(10, real(10, 0.5) + real(22, 1))) +
    sized(2, sized(1, "x") + sized(11, sized(1, struct.pack("<6f", *range(6)))))))
