#!/usr/bin/env python3
"""Makes tests/fuzz/corpus/safetensors again: small files, good and bad, one for each branch of the parser."""
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
save("layer", {"__metadata__": {"format": "pt"}, "fc.weights": entry("F32", [2, 3], 0, 24), "fc.bias": entry("F32", [2], 24, 32)},
     struct.pack("<8f", *range(8)))
types = {"F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
         "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
header, size = {}, 0
for name, width in types.items():
    header[name.lower()] = entry(name, [1, 1], size, size + width)
    size += width
save("types", header, bytes(i * 37 % 256 for i in range(size)))
save("scalar_and_nothing", {"s": entry("F32", [], 0, 4), "n": entry("F64", [0, 3], 4, 4)}, struct.pack("<f", float("nan")))
save("unicode", {"caf\u00e9 \"\\\n\U0001f600": entry("U8", [1], 0, 1)}, b"x")
save("rank_9", {"a": entry("U8", [1] * 9, 0, 1)}, b"x")
save("overlap", {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6))
save("hole", {"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, bytes(3))
save("absurd_shape", {"a": entry("F32", [1 << 60, 16], 0, 4)}, bytes(4))
save("absurd_offsets", {"a": entry("F32", [1], (1 << 63) - 4, 1 << 63)}, bytes(4))
save("absurd_header", {}, length=1 << 60)
save("negative", {"a": entry("F32", [-1], 0, -4)}, bytes(4))
save("twice", b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}')
save("deep", b'{"a":' + b"[" * 80 + b"]" * 80 + b"}")
save("numbers", b'{"a":[1e999,1E-5,-0,0.5,18446744073709551616,true,false,null]}')
