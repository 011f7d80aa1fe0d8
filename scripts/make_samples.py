#!/usr/bin/env python3
"""Makes the sample images that the page trains on: one zip, the same bytes each time.

  python3 scripts/make_samples.py --data DATA_DIR --out www/public/samples/chest-x-rays.zip

DATA_DIR is a data set of this project with a manifest.csv. Only training images of the Kermany collection are taken, which
may be shared under CC BY 4.0, and of each patient one: to train on and to test, of each class. They are reduced to the
square that the tutorial's network sees, in grey, as JPEG, and keep the collection's names. The zip says where they are from.

Needs Pillow.
"""
import argparse
import csv
import hashlib
import io
import zipfile
from pathlib import Path

from PIL import Image

CLASSES = ["Bacterial Pneumonia", "Normal"]
SOURCE = "kermany"
IMAGES = {"train": 28, "test": 12}
SIDE = 128
QUALITY = 90
MOST_BYTES = 600_000

ORIGIN = """Chest X-rays of children of one to five years, Guangzhou Women and Children's Medical Center.

Kermany, Daniel; Zhang, Kang; Goldbaum, Michael (2018): Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for
Classification. Mendeley Data, V2. https://doi.org/10.17632/rscbjbr9sj.2
Kermany et al., Cell 172 (2018), 1122-1131.

Licence: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/
Changed: {number} images were chosen by chance, one a patient, made grey and reduced to {side} x {side} pixels.
"""


def chosen(data, name):
    """Rows of one class, one a patient, in an order that nothing but their paths decides."""
    with open(data / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["split"], row["class"], row["source"]) == ("train", name, SOURCE)]
    rows.sort(key=lambda row: hashlib.sha256(row["path"].encode()).digest())
    patients = {}
    for row in rows:
        patients.setdefault(row["group"] or row["path"], row)
    return list(patients.values())


def reduced(path):
    """The bytes of an image as it is shipped."""
    with Image.open(path) as image:
        small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    files = {"LICENCE.txt": ORIGIN.format(number=len(CLASSES) * sum(IMAGES.values()), side=SIDE).encode()}
    for name in CLASSES:
        rows = iter(chosen(options.data, name))
        for split, number in IMAGES.items():
            for _ in range(number):
                row = next(rows)
                stem = Path(row["original_name"]).stem
                files[f"{split}/{name}/{stem}.jpg"] = reduced(options.data / row["path"])

    options.out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(options.out, "w") as archive:
        for path, content in sorted(files.items()):
            # No time of today, and no compression, which JPEG has no use for: the same bytes each time.
            archive.writestr(zipfile.ZipInfo(f"chest-x-rays/{path}"), content)
    size = options.out.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{size} bytes; the page promises at most {MOST_BYTES}")
    print(f"{len(files) - 1} images, {size} bytes")


if __name__ == "__main__":
    main()
