"""Makes .tflite files of many bit-widths from one .kure file.

    python -m kure_materialize model.kure --bits=3 --out=w3.tflite

This file and NumPy are all that a device needs. A .kure file is the .tflite
file of 8-bit weights, and what others have that its codes do not foretell.
"""

import argparse
import contextlib
import difflib
import hashlib
import io
import json
import os
import pathlib
import re
import sys
import zipfile
import zlib

import numpy as np

INDEX = "kure/1"  # The number is that of the format.
_CHUNK = 1 << 13  # Codes, or bytes, at a time.


def read(codes, bits, reading="even") -> np.ndarray:
    """Returns the coarse integers that a device reads from int8 codes.

    even      round(c / 2^k), ties to even, within +-(2^(bits-1) - 1)
    middle    2 floor(c / 2^k) + 1, in units of 2^(k-1); c where k = 0
    truncate  floor(c / 2^k)                                   (k = 8 - bits)
    """
    k, codes = 8 - bits, np.asarray(codes).astype(np.int16)
    if k and reading == "even":
        top = (1 << (bits - 1)) - 1
        codes += (1 << (k - 1)) - 1 + ((codes >> k) & 1)
        return np.clip(codes >> k, -top, top).astype(np.int8)
    codes = 2 * (codes >> k) + 1 if k and reading == "middle" else codes >> k
    return codes.astype(np.int8)


def packed(codes, bits) -> np.ndarray:
    """Returns int8 codes as bytes of `bits` bits each, lowest bits first."""
    codes = np.ravel(codes).astype(np.int8, copy=False).view(np.uint8)
    codes = np.pad(codes & (2**bits - 1), (0, -codes.size % (8 // bits)))
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return np.bitwise_or.reduce(codes.reshape(-1, 8 // bits) << shifts, axis=1)


def points(source) -> list[tuple]:
    """Returns (bits, activation bits, container) of each file it makes."""
    with _opened(source) as (_, index, _):
        return [(*one["point"], one["container"]) for one in index["files"]]


def materialize(source, bits, *, activation_bits=None, container=8) -> bytes:
    """Returns a .tflite file, as kure_tf's exact writer makes it.

    Of a .kure file, its path or bytes. `activation_bits` None: the most held;
    `container` 4: int4 where codes fit. ValueError if no such file is held.
    """
    held = points(source)
    for point in held:  # The most activation bits come first.
        if point == (bits, activation_bits or point[1], container):
            return _made(source, point).tobytes()
    said = ", ".join("W{}/A{} in int{}".format(*point) for point in held)
    asked = f"W{bits}" + (f"/A{activation_bits}" if activation_bits else "")
    asked += f" in int{container}"
    raise ValueError(f"Expected one of these files: {said}. Received: {asked}.")


def _made(source, point):
    with _opened(source) as (data, index, file):
        old, *others = index["files"]
        data = data[: old["length"]]
        for new in others:  # The file of this point in int8, then itself.
            if (*new["point"], new["container"]) in ((*point[:2], 8), point):
                data, old = predict(data, old, new, index), new
                start, unpack = 0, zlib.decompressobj()
                changes = file.read(new["changes"])
                while part := unpack.decompress(changes, _CHUNK):
                    data[start : start + len(part)] ^= np.frombuffer(part, "u1")
                    start, changes = start + len(part), unpack.unconsumed_tail
                for *factors, to, n in new["products"]:  # Scales of biases.
                    x, y = (data[at:][:n].view("<f4") for at in factors)
                    data[to : to + n] = (x * y[:1]).view("u1")
        if hashlib.sha256(data).hexdigest() != old["sha256"]:
            raise LookupError("it makes another file than it promises")
        return data


def predict(data, old, new, index) -> np.ndarray:
    """Returns the file `new` as far as the bytes of `old` foretell it."""
    out = np.zeros(new["length"], np.uint8)
    end, old_end = new["places"][0], old["places"][0]
    head = min(end, old_end)
    out[end - head : end] = data[old_end - head : old_end]
    bits = 8 if old["point"] == new["point"] else new["point"][0]
    for number, kernel in enumerate(index["kernels"]):
        end, old_end = new["places"][number], old["places"][number]
        for start in range(0, kernel["size"], _CHUNK):
            size = min(_CHUNK, kernel["size"] - start)
            codes = data[old_end : old_end + size].view(np.int8)
            if bits < 8 and not kernel["fixed"]:
                place = np.arange(start, start + size) // kernel["stride"]
                signs = np.int8(kernel["signs"])[place % len(kernel["signs"])]
                codes = read(codes * signs, bits, index["reading"]) * signs
            codes = packed(codes, new["containers"][number])
            out[end : end + codes.size] = codes
            end, old_end = end + codes.size, old_end + size
    rest = data[old_end:][: out.size - end]
    out[end : end + rest.size] = rest
    return out


@contextlib.contextmanager
def _opened(source):
    """Gives the bytes as an array, the index and the archive."""
    given = isinstance(source, bytes | bytearray | memoryview)
    file = io.BytesIO(source) if given else open(source, "rb")
    try:
        with file, zipfile.ZipFile(file) as archive:
            data = source if given else np.memmap(file, np.uint8, "r")
            index = json.loads(zlib.decompress(archive.read(INDEX)))
            yield np.frombuffer(data, np.uint8), index, archive
    except Exception as error:  # Broken files raise a dozen kinds.
        name = bytes(source[:8]) if given else source
        raise ValueError(
            f"Expected a whole .kure file. Received {name!r}, cut off, changed "
            f"or of another kind: {error}. Copy or make it again."
        ) from error


def _check_options(parser, arguments):
    """Ends with an unknown option, and the nearest one, before others lack."""
    known = re.findall(r"--\w+", parser.format_help())
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and not any(x.startswith(name) for x in known):
            near = difflib.get_close_matches(name, known, 1)
            more = f" Did you mean {near[0]}?" if near else ""
            parser.error(f"unknown option {name}.{more}")


def main(arguments=None):
    """Writes the file that the flags ask for: whole, or not at all."""
    parser = argparse.ArgumentParser("kure_materialize")
    parser.add_argument("source", metavar="FILE")
    add = parser.add_argument
    add("--bits", type=int, required=True, help="of the weights")
    add("--activations", type=int, dest="activation_bits", help="the most held")
    add("--container", type=int, default=8, help="4: int4 where codes fit")
    parser.add_argument("--out", help="default: FILE_BITS.tflite")
    arguments = sys.argv[1:] if arguments is None else arguments
    _check_options(parser, arguments)
    asked = vars(parser.parse_args(arguments))
    path = asked.pop("out") or "{source}_{bits}.tflite".format(**asked)
    new = pathlib.Path(f"{path}.{os.getpid()}.tmp")  # Two may run at once.
    try:
        content = materialize(**asked)
        new.write_bytes(content)
        new.replace(path)
    except (OSError, ValueError) as error:
        new.unlink(missing_ok=True)
        parser.exit(2, f"{error}\n")
    print(f"Wrote {path}: {len(content):,} bytes.")


if __name__ == "__main__":
    main()
