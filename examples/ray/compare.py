"""Compares two files of JSON lines, of `score.py` and of `roentgen predict --json`: the largest difference of a score.

    python compare.py scores.jsonl predicted.jsonl --allowed 1e-3

`roentgen predict` gives no scores of a film that the model refuses, unless it is asked with `--show-anyway`: such films are
counted, and not compared.
"""

import argparse
import json
import sys
from pathlib import Path


def read(path: Path) -> dict[str, dict]:
    """The lines of films that could be read, by file."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {line["file"]: line for line in lines if line["error"] is None}


def refused(lines: dict[str, dict]) -> set[str]:
    """The films of which nothing is said but why they are refused."""
    return {file for file, line in lines.items() if line["scores"] is None}


def main() -> int:
    parser = argparse.ArgumentParser(description="The largest difference between two files of scores.")
    parser.add_argument("files", type=Path, nargs=2, metavar="FILE")
    parser.add_argument("--allowed", type=float, default=1e-3, help="exit with 1 beyond this")
    args = parser.parse_args()
    one, other = (read(path) for path in args.files)
    if one.keys() != other.keys() or not one:
        print(f"not the same films: {len(one.keys() - other.keys())} in the first only, "
              f"{len(other.keys() - one.keys())} in the second only, {len(one.keys() & other.keys())} in both")
        return 1
    without = refused(one) | refused(other)
    if without:
        print(f"{len(without)} films were refused by the model and have no scores, such as {min(without)}")
    one = {file: line for file, line in one.items() if file not in without}
    if not one:
        print("no film is left to compare: ask `roentgen predict` with --show-anyway")
        return 1
    differences = {
        file: max(abs(score - other[file]["scores"][name]) for name, score in line["scores"].items())
        for file, line in one.items()
    }
    worst = max(differences, key=lambda file: differences[file])
    labels = sum(line["label"] == other[file]["label"] for file, line in one.items())
    print(f"{len(one)} films: the same class for {labels}, scores differ by {differences[worst]:.1e} at most ({worst})")
    return 0 if differences[worst] <= args.allowed else 1


if __name__ == "__main__":
    sys.exit(main())
