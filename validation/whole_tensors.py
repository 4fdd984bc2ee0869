#!/usr/bin/env python3
"""Does h5py see in a checkpoint's tensors.h5 what Coppice saved? The hash of all weights and of both moments (a sum over elements of a
mix of name, index and bits; src/model/hash.h) is computed here anew and compared with what `coppice inspect` says.
usage: whole_tensors.py COPPICE CHECKPOINT      exit code 1 if they differ"""
import re
import subprocess
import sys

import h5py
import numpy as np

np.seterr(over="ignore")


def mix(x):
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


def key(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return mix(np.array([h], np.uint64))


def hash_of(group):
    total = 0
    for name, data in group.items():
        bits = np.ascontiguousarray(data[...], np.float32).view(np.uint32).ravel().astype(np.uint64)
        index = np.arange(bits.size, dtype=np.uint64)
        total += int(mix(key(name) ^ mix(index ^ bits << np.uint64(32))).sum(dtype=np.uint64))
    return "%016x" % (total % 2**64)


coppice, checkpoint = sys.argv[1:3]
said = subprocess.run([coppice, "inspect", checkpoint], capture_output=True, text=True, check=True).stdout
want = re.search(r"^hashes +weights (\w+) +moments (\w+) (\w+)", said, re.M).groups()
with h5py.File(checkpoint + "/tensors.h5") as f:
    got = tuple(hash_of(f[kind]) for kind in ("weights", "moment1", "moment2"))
    print(len(f["weights"]), "tensors;", "equal" if got == want else f"DIFFER: {got}, not {want}")
sys.exit(got != want)
