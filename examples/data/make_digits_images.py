#!/usr/bin/env python3
"""Writes digits_images.safetensors beside this script: the UCI digits as scikit-learn carries them.

Needs numpy and scikit-learn (Debian: python3-sklearn). The same bytes come out every time.
"""
import hashlib
import json
import pathlib
import struct

import numpy
import sklearn.datasets


def safetensors(tensors):
    """The bytes of a safetensors file that holds the U8 arrays `tensors` (name -> array)."""
    header, data = {}, b""
    for name, values in tensors.items():
        assert values.dtype == numpy.uint8
        raw = numpy.ascontiguousarray(values).tobytes()
        header[name] = {"dtype": "U8", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def main():
    digits = sklearn.datasets.load_digits()
    images, labels = digits.images, digits.target
    assert images.shape == (1797, 8, 8) and labels.shape == (1797,)
    assert images.min() == 0 and images.max() == 16 and (images == images.round()).all()
    content = safetensors({"images": images.astype(numpy.uint8), "labels": labels.astype(numpy.uint8)})
    path = pathlib.Path(__file__).resolve().parent / "digits_images.safetensors"
    path.write_bytes(content)
    print(f"{path.name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
