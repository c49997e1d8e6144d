#!/usr/bin/env python3
"""Cuts the demo's sample out of the `debian-minilm` set. Standard library only.

    python3 cut.py <folder with debian-minilm.*> <folder to write to>

Source: the package lists of Debian 12 "bookworm", main/amd64, and their vectors by
all-MiniLM-L6-v2; licences in NOTICE at the root of the repository.

Rule, so that the same input gives the same bytes:
1. The queries are those of QUERIES, in that order: short texts that a reader understands.
2. A row is taken if it is among the NEAREST nearest of a query over the whole set, so an answer
   found in the sample is the answer of the whole set.
3. The rest, up to ROWS, goes round the sections in the order of their names, each giving its
   lowest free row, so that small sections are as visible as `libs`.
4. Rows keep the order of the source and are numbered anew from 0.
5. The exact answers are computed over the sample, in float64, from the stored f16 values, both
   sides normalised; distance = 1 - cosine; ties go to the lower row. They are compared with the
   source's own ground truth before anything is written.

Files:
- packages.tsv     line i = row i: name, section, synopsis (UTF-8, tab-separated, no header)
- packages.f16bin  u32 rows, u32 dimension, then rows * dimension IEEE 754 binary16; little-endian
- queries.tsv      line i = query i: the text
- queries.f16bin   as packages.f16bin
- queries.gt.tsv   query, rank (from 0), row, name, distance (9 digits)
"""

import array
import gzip
import heapq
import json
import math
import operator
import pathlib
import struct
import sys

ROWS = 3000
NEAREST = 25
ANSWERS = 10
QUERIES = [
    10, 23, 39, 62, 103, 112, 173, 178, 180, 217,
    222, 247, 251, 253, 268, 280, 326, 337, 362, 458,
    459, 463, 487, 518, 532, 546, 601, 635, 642, 670,
    681, 706, 801, 807, 855, 877, 887, 941, 945, 992,
]


def read_header(data, item):
    rows, dimension = struct.unpack_from("<II", data)
    assert len(data) == 8 + rows * dimension * item, "size does not follow from the header"
    return rows, dimension


def vector(data, dimension, row):
    return struct.unpack_from(f"<{dimension}e", data, 8 + row * dimension * 2)


def normalised(values):
    length = math.sqrt(math.fsum(value * value for value in values))
    return array.array("d", (value / length for value in values))


def choose(packages, nearest):
    """Rules 2 to 4: the rows taken, ascending."""
    taken = {row for rows in nearest for row in rows[:NEAREST]}
    free = {}
    for row, package in enumerate(packages):
        if row not in taken:
            free.setdefault(package["section"], []).append(row)
    queues = [iter(free[section]) for section in sorted(free)]
    while len(taken) < ROWS:
        for queue in queues:
            row = next(queue, None)
            if row is not None and len(taken) < ROWS:
                taken.add(row)
    return sorted(taken)


def answers(query, vectors):
    """Rule 5: (distance, row) of the nearest rows."""
    distances = (1.0 - sum(map(operator.mul, query, row)) for row in vectors)
    return heapq.nsmallest(ANSWERS, ((d, row) for row, d in enumerate(distances)))


def write_vectors(path, source, dimension, rows):
    width = dimension * 2
    body = b"".join(source[8 + row * width : 8 + (row + 1) * width] for row in rows)
    path.write_bytes(struct.pack("<II", len(rows), dimension) + body)


def write_lines(path, lines):
    for line in lines:
        assert "\n" not in line
    path.write_bytes("".join(line + "\n" for line in lines).encode())


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    with gzip.open(source / "debian-minilm.base.meta.jsonl.gz", "rt", encoding="utf-8") as lines:
        packages = [json.loads(line) for line in lines]
    texts = (source / "debian-minilm.query.meta.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(text) for text in texts]
    base = (source / "debian-minilm.base.f16bin").read_bytes()
    query = (source / "debian-minilm.query.f16bin").read_bytes()
    truth = (source / "debian-minilm.gt100.cos.ibin").read_bytes()
    _, dimension = read_header(base, 2)
    asked, depth = read_header(truth, 8)
    assert read_header(query, 2) == (asked, dimension)

    nearest = [struct.unpack_from(f"<{depth}I", truth, 8 + q * depth * 4) for q in QUERIES]
    known = [struct.unpack_from(f"<{depth}f", truth, 8 + (asked + q) * depth * 4) for q in QUERIES]
    rows = choose(packages, nearest)
    vectors = [normalised(vector(base, dimension, row)) for row in rows]
    found = [answers(normalised(vector(query, dimension, q)), vectors) for q in QUERIES]
    for hits, distances in zip(found, known):
        for (distance, _), expected in zip(hits, distances):
            assert abs(distance - expected) < 1e-6, "the sample's answers differ from the source's"

    def fields(*values):
        assert not any("\t" in str(value) for value in values)
        return "\t".join(str(value) for value in values)

    target.mkdir(parents=True, exist_ok=True)
    write_lines(
        target / "packages.tsv",
        [fields(*(packages[row][f] for f in ("name", "section", "synopsis"))) for row in rows],
    )
    write_vectors(target / "packages.f16bin", base, dimension, rows)
    write_lines(target / "queries.tsv", [fields(texts[q]["text"]) for q in QUERIES])
    write_vectors(target / "queries.f16bin", query, dimension, QUERIES)
    write_lines(
        target / "queries.gt.tsv",
        [
            fields(number, rank, row, packages[rows[row]]["name"], f"{distance:.9f}")
            for number, hits in enumerate(found)
            for rank, (distance, row) in enumerate(hits)
        ],
    )


if __name__ == "__main__":
    main()
