"""Scores a folder of films with an exported model, sharded over Ray workers.

    roentgen export --model my-model --onnx model.onnx
    python score.py --onnx model.onnx --films archive/ --out scores.jsonl --workers 4

Writes one JSON object a film, as `roentgen predict --json` does: {file, label, score, scores, error}. Files that cannot
be read get an error and do not stop the others. On a cluster, `--address auto` joins it; films and model must then lie
where every machine sees them.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import ray
from ray.util import ActorPool

from films import Settings, prepare

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp"}


class Scorer:
    """One worker: a session of its own on one core, opened once."""

    def __init__(self, model: str, folder: str) -> None:
        # Ray starts workers in a folder of its own; names are relative to the one that the script was called in.
        os.chdir(folder)
        options = onnxruntime.SessionOptions()
        # Ray gives a worker one core; without this each would start threads for all of them.
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.settings = Settings.from_json(metadata["preprocess"])
        self.classes: list[str] = json.loads(metadata["classes"])

    def score(self, shard: list[str]) -> list[dict]:
        """The lines of a shard, in its order; what can be read goes through the network at once."""
        lines: list[dict] = []
        images = []
        for file in shard:
            line = {"file": file, "label": None, "score": None, "scores": None, "error": None}
            try:
                images.append(prepare(Path(file), self.settings))
            except Exception as cause:  # A decoder may raise anything on a broken file.
                line["error"] = f"{type(cause).__name__}: {cause}"
            lines.append(line)
        if images:
            (rows,) = self.session.run(["probabilities"], {"image": np.stack(images)})
            readable = (line for line in lines if line["error"] is None)
            for line, row in zip(readable, rows, strict=True):
                best = int(row.argmax())
                scores = {name: float(value) for name, value in zip(self.classes, row, strict=True)}
                line.update(label=self.classes[best], score=float(row[best]), scores=scores)
        return lines


def shards(films: list[Path], size: int) -> Iterator[list[str]]:
    """The films in pieces of `size`."""
    for start in range(0, len(films), size):
        yield [str(film) for film in films[start : start + size]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Scores a folder of films with an exported model, over Ray workers.")
    parser.add_argument("--onnx", type=Path, required=True, help="file that `roentgen export` wrote")
    parser.add_argument("--films", type=Path, required=True, help="folder, searched to its depths")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one a film")
    parser.add_argument("--workers", type=int, default=2, help="how many, each on one core")
    parser.add_argument("--shard", type=int, default=16, help="films a worker takes at a time")
    parser.add_argument("--address", default="local", help="Ray cluster to join; `local` starts one here")
    args = parser.parse_args()
    films = sorted(path for path in args.films.rglob("*") if path.suffix.lower() in ENDINGS)
    if not films:
        parser.error(f"no films below {args.films}")
    if min(args.workers, args.shard) < 1:
        parser.error("--workers and --shard are at least 1")

    # The scripts go to the cluster's machines with the job.
    ray.init(address=args.address, runtime_env={"working_dir": str(Path(__file__).parent.resolve())}, log_to_driver=False)
    worker = ray.remote(num_cpus=1)(Scorer)
    pool = ActorPool([worker.remote(str(args.onnx), os.getcwd()) for _ in range(args.workers)])
    failed = 0
    with args.out.open("w", encoding="utf-8") as out:
        # In the films' order, whichever worker is done first: two runs write the same file.
        for lines in pool.map(lambda actor, shard: actor.score.remote(shard), shards(films, args.shard)):
            failed += sum(line["error"] is not None for line in lines)
            out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    print(f"{len(films)} films on {args.workers} workers, {failed} of them unreadable: {args.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
