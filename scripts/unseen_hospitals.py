#!/usr/bin/env python3
"""What helps at a hospital that a model has not seen: last layers fitted in many ways on the features of one network.

  python3 scripts/unseen_hospitals.py --roentgen target/release/roentgen --data DATA_DIR --unseen UNSEEN_DIR \
      --model MODEL_DIR [--model MODEL_DIR ...] [--json OUT.json]

The layers before the last one stay as each MODEL_DIR has them (give networks of two seeds or more), so that a comparison
takes seconds, and two ways differ in nothing but what is said here. Images are prepared as the card says, features come out
of the exported ONNX file. Each way is fitted on the training images of DATA_DIR and judged by images that it was not
fitted on: the validation images, UNSEEN_DIR, and the hospitals that were left out of the fit.

Needs numpy, scipy, scikit-learn, onnx, onnxruntime and Pillow.
"""
import argparse
import csv
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

CLASSES = ["COVID-19", "Normal", "Viral Pneumonia", "Bacterial Pneumonia"]
HEALTHY, ILL = 1, [0, 2, 3]
# What an image of these folders may show.
PARTIAL = {"Other Pneumonia": [2, 3], "Mass": ILL}


def listing(data, unseen):
    """Path, split, class, collection, hospital and patient of each image."""
    rows = []
    for root in (data, unseen):
        for row in csv.DictReader(open(root / "manifest.csv")):
            collection = Path(row["path"]).name.split("_")[0]
            # The healthy adults of the radiography collection are of the NIH's hospital, as nih_ and rsna_ are.
            nih = collection in ("nih", "rsna") or (collection == "rad" and row["class"] == "Normal")
            split = "unseen" if root == unseen else row["split"]
            rows.append((root / row["path"], split, row["class"], collection, "nih" if nih else collection, row["group"]))
    return rows


def features(roentgen, model, rows):
    """What the last layer of `model` reads of each image, [n, f]."""
    card = json.loads((Path(model) / "model.json").read_text())
    how = card["preprocess"]
    assert how["channels"] == 1 and how.get("contrast", "none") == "none", "of grey networks without equalisation"
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model.onnx"
        subprocess.run([roentgen, "export", "--model", model, "--onnx", exported], check=True, stdout=subprocess.DEVNULL)
        graph = onnx.load(exported)
    last = next(node for node in graph.graph.node if node.op_type == "Gemm")
    graph.graph.output.append(onnx.helper.make_tensor_value_info(last.input[0], 1, None))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    found = []
    for path, *_ in rows:
        image = Image.open(path).convert("L")
        grey = Image.fromarray(np.asarray(image, np.float32) / 255)
        if grey.size != (how["width"], how["height"]):
            grey = grey.resize((how["width"], how["height"]), Image.BILINEAR)
        tensor = ((np.asarray(grey) - how["mean"]) / how["std"])[None, None].astype(np.float32)
        found.append(session.run([last.input[0]], {"image": tensor})[0][0])
    return np.stack(found)


def log_sum_exp(z):
    largest = z.max(1, keepdims=True)
    return (largest + np.log(np.exp(z - largest).sum(1, keepdims=True)))[:, 0]


def fit(x, possible, healthy, weights, ridge, pairs=None):
    """The last layer, [4, f + 1], of the least weighted loss: is it healthy, and if not, what is it?

    `weights` [n, 2] are those of both questions; with `pairs` [m, 2], ill and healthy image, the first question is asked of
    pairs instead: log(1 + exp(−(d_ill − d_healthy))) of the log odds d of being ill.
    """
    n, columns = x.shape
    rows = np.c_[x, np.ones(n)]
    v, w = weights.T
    allowed = possible[:, ILL].astype(bool)
    ill = (~healthy).astype(float)
    total = v.sum() + w.sum()

    def loss(flat):
        layer = flat.reshape(4, columns + 1)
        z = rows @ layer.T
        together = log_sum_exp(z[:, ILL])
        odds = together - z[:, HEALTHY]
        if pairs is None:
            value = (v * (np.logaddexp(0, odds) - ill * odds)).sum()
            slope = v * (1 / (1 + np.exp(-odds)) - ill)
        else:
            between = odds[pairs[:, 0]] - odds[pairs[:, 1]]
            share = v.sum() / len(pairs)
            value = share * np.logaddexp(0, -between).sum()
            push = -share / (1 + np.exp(between))
            slope = np.zeros(n)
            np.add.at(slope, pairs[:, 0], push)
            np.add.at(slope, pairs[:, 1], -push)
            # Pairs leave the constant open: the mean of the odds is asked to be right, with little weight.
            value += 0.05 * (v * (np.logaddexp(0, odds) - ill * odds)).sum()
            slope += 0.05 * v * (1 / (1 + np.exp(-odds)) - ill)
        kind = np.exp(z[:, ILL] - together[:, None])
        known = np.where(ill > 0, np.maximum((kind * allowed).sum(1), 1e-30), 1)
        value -= (w * ill * np.log(known)).sum()
        target = np.where(ill[:, None] > 0, kind * allowed / known[:, None], kind)
        gradient = np.zeros_like(z)
        gradient[:, ILL] = slope[:, None] * kind + (w * ill)[:, None] * (kind - target)
        gradient[:, HEALTHY] = -slope
        held = layer.copy()
        held[:, -1] = 0
        return (value + ridge / 2 * (held**2).sum()) / total, ((gradient.T @ rows + ridge * held) / total).ravel()

    found = minimize(loss, np.zeros(4 * (columns + 1)), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    return found.x.reshape(4, columns + 1)


class Images:
    """Features and what is known of each image."""

    def __init__(self, x, rows):
        self.x = x
        self.split, self.cls, self.collection, self.hospital, self.group = (np.array(c) for c in list(zip(*rows))[1:])
        self.healthy = self.cls == "Normal"
        self.possible = np.zeros((len(rows), 4))
        for i, name in enumerate(CLASSES):
            self.possible[self.cls == name, i] = 1
        for name, among in PARTIAL.items():
            for i in among:
                self.possible[self.cls == name, i] = 1


def groups_of(images, train):
    """The images of each class of each hospital among `train`."""
    keys = np.array([f"{h}/{c}" for h, c in zip(images.hospital, images.cls)])
    return {key: train & (keys == key) for key in np.unique(keys[train])}


def weighted(images, train, between, kind_of_partial=1.0):
    """Each class of each hospital by the square root of its images; in the first question `between` times that for images
    of hospitals with ill or healthy images only."""
    weights = np.zeros((len(images.cls), 2))
    for chosen in groups_of(images, train).values():
        weights[chosen] = 1 / np.sqrt(chosen.sum())
    for hospital in np.unique(images.hospital[train]):
        here = train & (images.hospital == hospital)
        if len(np.unique(images.healthy[here])) < 2:
            weights[here, 0] *= between
    weights[np.isin(images.cls, list(PARTIAL)), 1] *= kind_of_partial
    return weights * (train.sum() / weights.sum() * 2)


def ways(images, train, ridge):
    """Name and last layer (and what is done to features first) of each way."""
    x = images.x
    mean, deviation = x[train].mean(0), x[train].std(0) + 1e-6
    z = (x - mean) / deviation

    def layer(weights, inputs=z, ridge=ridge, pairs=None):
        used = weights.sum(1) > 0
        if pairs is not None:
            place = np.cumsum(used) - 1
            pairs = place[pairs]
        found = fit(inputs[used], images.possible[used], images.healthy[used], weights[used], ridge, pairs)
        return np.c_[inputs, np.ones(len(inputs))] @ found.T

    plain = weighted(images, train, 1.0)
    within = weighted(images, train, 0.0)
    yield "plain cross-entropy", layer(plain)
    yield "classes paired within a hospital", layer(within)
    yield "the same, the others a tenth", layer(weighted(images, train, 0.1))
    yield "the same, the others three tenths", layer(weighted(images, train, 0.3))

    rng = np.random.default_rng(0)
    pairs = []
    for hospital in np.unique(images.hospital[train]):
        ill, well = (np.flatnonzero(train & (images.hospital == hospital) & (images.healthy == h)) for h in (False, True))
        if len(ill) and len(well):
            pairs.append(np.c_[rng.choice(ill, 3000), rng.choice(well, 3000)])
    yield "ranking loss on pairs within a hospital", layer(within, pairs=np.concatenate(pairs))

    # Group DRO (Sagawa et al. 2020): the weight of a group grows by its loss.
    share = {key: 1.0 for key in groups_of(images, train)}
    for _ in range(6):
        weights = np.zeros_like(plain)
        for key, chosen in groups_of(images, train).items():
            weights[chosen] = share[key] / chosen.sum()
        weights *= 2 * train.sum() / weights.sum()
        logits = layer(weights)
        logits = logits - log_sum_exp(logits)[:, None]
        for key, chosen in groups_of(images, train).items():
            lost = -np.log(np.maximum((np.exp(logits[chosen]) * images.possible[chosen]).sum(1), 1e-30)).mean()
            share[key] *= np.exp(0.5 * lost)
        most = sum(share.values())
        share = {key: value / most for key, value in share.items()}
    yield "group DRO over class and hospital", logits

    # What tells hospitals apart among healthy images, taken out of the features (Ravfogel et al. 2020).
    blind = z.copy()
    for _ in range(8):
        healthy = train & images.healthy & np.isin(images.hospital, ["nih", "ker"])
        probe = LogisticRegression(C=0.01, max_iter=200).fit(blind[healthy], images.hospital[healthy]).coef_
        out, _ = np.linalg.qr(probe.T)
        blind = blind - blind @ out @ out.T
    yield "the source taken out of the features", layer(plain, inputs=blind)
    yield "the same, paired within a hospital", layer(within, inputs=blind)

    # Each hospital's healthy mean as zero where it is known; images of others keep the mean of all.
    centred = z.copy()
    for hospital in np.unique(images.hospital[train & images.healthy]):
        here = images.hospital == hospital
        if (train & here & images.healthy).sum() >= 50:
            centred[here] -= z[train & here & images.healthy].mean(0)
    yield "features centred by hospital", layer(plain, inputs=centred)

    # Only whether it is ill is learned within hospitals; what it is, from the same features, with a strong ridge.
    first = layer(within)
    second = layer(plain, ridge=30 * ridge)
    odds = log_sum_exp(first[:, ILL]) - first[:, HEALTHY]
    combined = second - log_sum_exp(second[:, ILL])[:, None] + odds[:, None]
    combined[:, HEALTHY] = 0
    yield "ill or healthy within a hospital, then the kind", combined
    yield "other pneumonia and mass known as ill only", layer(weighted(images, train, 0.1, 0.0))
    yield "ridge ten times as strong", layer(weighted(images, train, 0.1), ridge=10 * ridge)


def judge(images, logits, train):
    """The numbers of one way."""
    p = np.exp(logits - log_sum_exp(logits)[:, None])
    area = lambda chosen, positive, score: float(roc_auc_score(positive[chosen], score[chosen]))
    covid, ill = images.cls == "COVID-19", ~images.healthy
    odds = np.log(p[:, 0] + 1e-30) - np.log(p[:, HEALTHY] + 1e-30)
    val = (images.split == "val") & np.isin(images.collection, ["rad", "ker"])
    label = images.possible.argmax(1)
    unseen = images.split == "unseen"
    adults = val & (images.collection == "rad")
    nih = (images.cls == "Other Pneumonia") & (images.hospital == "nih") & ~train | (val & (images.hospital == "nih"))
    coh = (images.collection == "coh") & ill & ~train
    out = {
        "unseen hospital, COVID-19 against Normal": area(unseen, covid, odds),
        "unseen hospital, ill against Normal": area(unseen, covid, -p[:, HEALTHY]),
        "unseen hospital, Normal likeliest": float((p[unseen & images.healthy].argmax(1) == HEALTHY).mean()),
        "NIH, ill against Normal": area(nih, ill, -p[:, HEALTHY]),
        "validation, COVID-19 against Normal, right": float(((odds > 0) == covid)[adults].mean()),
        "validation, four classes, right": float((p.argmax(1) == label)[val].mean()),
    }
    if coh.sum() > 20:
        out["other collection, COVID-19 against other pneumonia"] = area(coh, covid, p[:, 0])
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--roentgen", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--unseen", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--cache", type=Path, help="keeps features between runs")
    parser.add_argument("--ridge", type=float, default=100.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [row for row in listing(args.data, args.unseen) if row[1] != "test"]
    results = {}
    for model in args.model:
        kept = args.cache and args.cache / f"{Path(model).name}.npy"
        if kept and kept.exists():
            x = np.load(kept)
        else:
            x = features(args.roentgen, model, rows)
            if kept:
                np.save(kept, x)
        images = Images(x, rows)
        training = images.split == "train"
        settings = {
            "without the other collection": training & (images.collection != "coh"),
            "without the NIH's sick": training & (images.collection != "coh") & ~((images.hospital == "nih") & ~images.healthy),
        }
        for setting, train in settings.items():
            for way, logits in ways(images, train, args.ridge):
                numbers = judge(images, logits, train)
                results.setdefault(setting, {}).setdefault(way, []).append(numbers)
                print(f"{Path(model).name}; {setting}; {way}: " + ", ".join(f"{k} {v:.3f}" for k, v in numbers.items()), flush=True)
        healthy = images.healthy & np.isin(images.hospital, ["nih", "ker"])
        probe = LogisticRegression(C=0.01, max_iter=500).fit(x[training & healthy], images.hospital[training & healthy])
        kept_out = healthy & (images.split == "val")
        print(f"{Path(model).name}; source of a healthy image read from the features: {probe.score(x[kept_out], images.hospital[kept_out]):.3f}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
