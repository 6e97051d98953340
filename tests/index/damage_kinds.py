"""Ways to damage an artifact's folder, and the reason with which each must be refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.backends import INDEX_TYPES

Damage = Callable[[Path], object]


def edit_manifest(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def setting(field: str, value: object) -> Damage:
    return edit_manifest(lambda manifest: manifest.update({field: value}))


def content(name: str, replace: bytes | Callable[[bytes], bytes]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_bytes(replace if isinstance(replace, bytes) else replace(path.read_bytes()))

    return damage


def array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    def damage(folder: Path) -> None:
        np.save(folder / f"{name}.npy", change(np.load(folder / f"{name}.npy")))

    return damage


def put(position: int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[position] = value
        return values

    return change


def a_link(folder: Path) -> None:
    outside = folder.parent / "outside.npy"
    shutil.move(folder / "user_codes.npy", outside)
    (folder / "user_codes.npy").symlink_to(outside)


def a_pipe(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def npy(shape: str, dtype: str = "<i8", order: str = "False", body: bytes = b"\x00" * 8) -> bytes:
    """An `.npy` file with any header one likes."""
    header = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117)
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.encode() + b"\n" + body


class Hostile:
    """Ends the process when unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os._exit, (66,))


def a_hostile_pickle(folder: Path) -> None:
    objects = np.empty(1, dtype=object)
    objects[0] = Hostile()
    np.save(folder / "popularity.npy", objects, allow_pickle=True)


def a_zip_archive(folder: Path) -> None:
    np.savez(folder / "archive.npz", popularity=np.load(folder / "popularity.npy"))
    (folder / "archive.npz").replace(folder / "popularity.npy")


def an_index_of(index_type: str, seed: int, n_items: int = 40, n_bytes: int = 4) -> Damage:
    def damage(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        codes = BinaryCodes(rng.integers(0, 256, (n_items, n_bytes), dtype=np.uint8))
        INDEX_TYPES[index_type].build(codes).save(folder / "index.bin")

    return damage


def deep_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("[" * 100_000 + "]" * 100_000)


SIMPLE_DAMAGE: dict[str, tuple[Damage, str]] = {
    "array cut short": (content("user_codes.npy", lambda b: b[:-1]), "user_codes.npy has"),
    "array emptied": (content("seen.items.npy", b""), "seen.items.npy has 0 bytes"),
    "array too long": (content("popularity.npy", lambda b: b + b"\0"), "popularity.npy has"),
    "index cut short": (content("index.bin", lambda b: b[:-1]), "index.bin has"),
    "file missing": (lambda f: (f / "item_codes.npy").unlink(), "item_codes.npy is missing"),
    "index missing": (lambda f: (f / "index.bin").unlink(), "index.bin is missing"),
    "manifest missing": (lambda f: (f / "manifest.json").unlink(), "manifest.json: No such file"),
    "file too many": (lambda f: (f / "notes.txt").write_text("x"), "notes.txt is not in"),
    "hidden file too many": (lambda f: (f / ".x").write_text("x"), ".x is not in the manifest"),
    "folder too many": (lambda f: (f / "more").mkdir(), "more is not in the manifest"),
    "folder in place of a file": (
        lambda f: [(f / "index.bin").unlink(), (f / "index.bin").mkdir()],
        "index.bin is not a plain file",
    ),
    "link out of the folder": (a_link, "user_codes.npy is not a plain file"),
    "pipe in place of a file": (a_pipe("seen.items.npy"), "seen.items.npy is not a plain file"),
    "pipe in place of the manifest": (a_pipe("manifest.json"), "manifest.json is not a plain"),
    "manifest empty": (content("manifest.json", b""), "manifest.json: document: Invalid JSON"),
    "manifest cut short": (content("manifest.json", lambda b: b[:-20]), "Invalid JSON"),
    "manifest not JSON": (content("manifest.json", b"\x93NUMPY"), "Invalid JSON"),
    "manifest nested deep": (deep_json, "recursion limit"),
    "manifest a list": (content("manifest.json", b"[]"), "manifest.json: document"),
    "manifest not text": (content("manifest.json", b'{"version": "\xff"}'), "Invalid JSON"),
    "manifest huge": (content("manifest.json", b" " * (5 << 20)), "not a plain small file"),
    "manifest with a huge number": (
        content(
            "manifest.json", lambda b: b.replace(b'"n_users": 60', b'"n_users": ' + b"9" * 5000)
        ),
        "number out of range",
    ),
    "future schema": (setting("schema_version", 2), "schema_version: Input should be 1"),
    "no schema": (
        edit_manifest(lambda m: m.pop("schema_version")),
        "schema_version: Field required",
    ),
    "field unknown": (setting("surprise", 1), "surprise: Extra inputs"),
    "field of another type": (setting("n_items", "40"), "n_items: Input should be a valid integer"),
    "negative count": (setting("n_users", -1), "n_users: Input should be greater"),
    "bits not whole bytes": (setting("n_bits", 33), "n_bits: Input should be a multiple of 8"),
    "version a path": (setting("version", "../../etc"), "version: String should match"),
    "digest malformed": (
        edit_manifest(lambda m: m["files"]["index.bin"].update(sha256="0")),
        "sha256: String should",
    ),
    "digest of something else": (
        edit_manifest(lambda m: m["files"]["index.bin"].update(sha256="0" * 64)),
        "index.bin does not match its SHA-256",
    ),
    "file named outside the folder": (
        edit_manifest(lambda m: m["files"].update({"../x": m["files"]["index.bin"]})),
        r"\.\./x is missing",
    ),
    "metric not a number": (
        edit_manifest(lambda m: m["metrics"].update(x="high")),
        "metrics.x: Input should be",
    ),
    "metric NaN": (edit_manifest(lambda m: m["metrics"].update(x=float("nan"))), "metrics.x"),
}

SIGNED_DAMAGE: dict[str, tuple[Damage, str]] = {
    "hostile pickle": (a_hostile_pickle, "popularity.npy is not a plain NumPy array"),
    "bare pickle": (content("popularity.npy", pickle.dumps(Hostile())), "not a plain NumPy array"),
    "zip archive": (a_zip_archive, "popularity.npy is not a plain NumPy array"),
    "array empty file": (content("popularity.npy", b""), "not a plain NumPy array"),
    "array deep header": (
        content("popularity.npy", npy("(" * 90 + ")" * 90)),
        "not a plain NumPy array",
    ),
    "array named in part": (
        lambda f: (f / "popularity.npy").unlink(),
        "popularity.npy: No such file",
    ),
    "array huge by its header": (
        content("popularity.npy", npy("(999999999999,)")),
        "do not fit its shape",
    ),
    "array with more bytes than its shape": (
        content("popularity.npy", lambda b: b + b"\0" * 8),
        "do not fit its shape",
    ),
    "array in Fortran order": (
        array("item_codes", np.asfortranarray),
        "item_codes.npy is not a plain NumPy array",
    ),
    "array of another type": (
        array("popularity", lambda a: a.astype(float)),
        "popularity is 1-d float64, not 1-d int64",
    ),
    "array of a type that none has": (
        array("popularity", lambda a: a.astype(np.float32)),
        "holds <f4",
    ),
    "array of narrower type": (
        array("popularity", lambda a: a.astype(np.int32)),
        "popularity is 1-d int32, not 1-d int64",
    ),
    "array big-endian": (array("popularity", lambda a: a.astype(">i8")), "holds >i8"),
    "array of another shape": (
        array("popularity", lambda a: a.reshape(-1, 1)),
        "popularity is 2-d int64",
    ),
    "codes too few": (array("user_codes", lambda a: a[1:]), "user codes and user ids differ"),
    "codes too many": (
        array("item_codes", lambda a: np.vstack([a, a])),
        "item codes and item ids differ",
    ),
    "codes wider": (array("user_codes", lambda a: np.hstack([a, a])), "code widths differ"),
    "codes of no bits": (array("item_codes", lambda a: a[:, :0]), "bits must be a multiple of 8"),
    "popularity ascending": (
        array("popularity", lambda a: a[::-1]),
        "not in descending popularity",
    ),
    "popularity negative": (array("popularity", lambda a: a - 100), "popularity is negative"),
    "ids not text": (array("item_ids.blob", put(0, 0xFF)), "item_ids: a string is not UTF-8"),
    "id offsets beyond the bytes": (
        array("user_ids.offsets", put(3, 2**62)),
        "user_ids: offsets do not fit",
    ),
    "id offsets descending": (
        array("user_ids.offsets", put(3, -1)),
        "user_ids: offsets do not fit",
    ),
    "id offsets emptied": (array("item_ids.offsets", lambda a: a[:0]), "item_ids.offsets is empty"),
    "id row huge": (array("user_ids.rows", put(0, 2**31 - 1)), "user_ids: the lookup table"),
    "id row negative": (array("user_ids.rows", put(0, -1)), "user_ids: the lookup table"),
    "id row twice": (array("item_ids.rows", put(0, 1)), "item_ids: the lookup table"),
    "hashes unsorted": (array("user_ids.hashes", lambda a: a[::-1]), "user_ids: the lookup table"),
    "hashes of other ids": (
        array("user_ids.hashes", lambda a: a - np.uint64(1)),
        "the lookup table belongs to other ids",
    ),
    "hashes too few": (array("user_ids.hashes", lambda a: a[1:]), "user_ids: the lookup table"),
    "seen row huge": (array("seen.items", put(-1, 2**31 - 1)), "seen: an item row is out of range"),
    "seen row negative": (array("seen.items", put(0, -1)), "seen: an item row is out of range"),
    "seen out of order": (array("seen.items", lambda a: a[::-1]), "seen: a list is not ascending"),
    "seen list beyond the end": (array("seen.indptr", put(5, 2**62)), "seen: the lists do not fit"),
    "seen list negative": (array("seen.indptr", put(5, -1)), "seen: the lists do not fit"),
    "seen lists too few": (array("seen.indptr", lambda a: a[:-1]), "seen: the lists do not fit"),
    "category lists too few": (
        array("category_items.indptr", lambda a: a[:1]),
        "category_items: the lists do not fit",
    ),
    "category row huge": (
        array("category_items.items", put(-1, 2**31 - 1)),
        "category_items: an item row",
    ),
    "category name not text": (
        array("categories.blob", put(0, 0x80)),
        "categories: a string is not",
    ),
    "encoder of fewer items": (
        array("user_encoder.weights", lambda a: a[1:]),
        "user_encoder: it has other items",
    ),
    "encoder of another width": (
        array("user_encoder.weights", lambda a: a[:, 1:]),
        "user_encoder: it has other items or another width",
    ),
    "encoder's bias of another width": (
        array("user_encoder.bias", lambda a: a[1:]),
        "user_encoder: it has other items or another width",
    ),
    "encoder of unsigned numbers": (
        array("user_encoder.weights", lambda a: a.view(np.uint8)),
        "user_encoder.weights is 2-d uint8, not 2-d int8",
    ),
    "encoder in part": (
        lambda f: (f / "user_encoder.weights.npy").unlink(),
        "user_encoder.weights.npy: No such file",
    ),
    "encoder without that of items": (
        lambda f: [path.unlink() for path in f.glob("item_encoder.*")],
        "item_encoder.weights.npy: No such file",
    ),
    "items' encoder not square": (
        array("item_encoder.weights", lambda a: a[1:]),
        "item_encoder: it has another width",
    ),
    "attributes not JSON": (array("item_attributes.blob", put(0, 0)), "item_attributes: not JSON"),
    "attributes of fewer items": (
        array("item_attributes.offsets", lambda a: a[:-1]),
        "item attributes and item ids differ",
    ),
    "manifest counts other users": (
        setting("n_users", 61),
        "holds 60 users and 40 items of 32 bits",
    ),
    "manifest counts other items": (
        setting("n_items", 4),
        "holds 60 users and 40 items of 32 bits",
    ),
    "manifest names other bits": (setting("n_bits", 64), "holds 60 users and 40 items of 32 bits"),
    "index type unknown": (
        setting("index_type", "annoy"),
        "no index 'annoy'; there are flat, ivf, numpy",
    ),
    "index type of another index": (setting("index_type", "ivf"), "not the expected index"),
    "index of other codes": (an_index_of("flat", seed=9), "does not belong to the item codes"),
    "index of fewer items": (
        an_index_of("flat", 9, n_items=39),
        "the index holds 39 items, not 40",
    ),
    "index of other width": (
        an_index_of("flat", 9, n_bytes=8),
        "not that of an index over 32 bits",
    ),
    "index of another kind": (an_index_of("ivf", 9), "not the expected index"),
    "index cut short": (content("index.bin", lambda b: b[:-1]), "it ends too early"),
    "index emptied": (content("index.bin", b""), "not the expected index"),
    "index too long": (content("index.bin", lambda b: b + b"x"), "its size does not fit"),
    "index huge by its header": (
        content("index.bin", lambda b: b[:12] + (2**40).to_bytes(8, "little") + b[20:]),
        "its codes do not fit its header",
    ),
}
