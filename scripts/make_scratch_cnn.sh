#!/usr/bin/env bash
# Makes www/models/scratch-cnn again: trains, compresses, averages, measures and writes the card.
#
#   scripts/make_scratch_cnn.sh DATA_DIR
#
# DATA_DIR holds train/, val/ and test/ with the folders COVID-19 and Normal, and `Other Pneumonia` in train/ and val/,
# which is not trained on. Takes about half an hour on two cores. The uncompressed network stays in runs/scratch-cnn.
set -euo pipefail
data=$(cd "${1:?give the folder of the films}" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --release
roentgen=${CARGO_TARGET_DIR:-target}/release/roentgen
whole=runs/scratch-cnn
small=www/models/scratch-cnn

resume=()
if [ -f "$whole/checkpoint.safetensors" ]; then resume=(--resume); fi
"$roentgen" train --arch scratch-cnn --data "$data" --classes COVID-19,Normal --out "$whole" \
  --epochs 18 --steps-per-epoch 214 --batch-size 32 --learning-rate 4e-4 --schedule cosine --warmup-steps 214 \
  --weight-decay 0.02 --dropout 0.3 --augment 0.5 --contrast equalise --mean 0.5 --std 0.25 --seed 1 \
  ${resume[@]+"${resume[@]}"}
"$roentgen" compress --model "$whole" --data "$data" --out "$small" --rank 32 --name "The scratch CNN"
"$roentgen" average --data "$data" --classes COVID-19,Normal --out "$small"

"$roentgen" evaluate --model "$small" --data "$data/test" --json "$whole/all.json"
"$roentgen" evaluate --model "$small" --data "$data/test" --only 'COVID-19/*' --only 'Normal/rad_*' \
  --json "$whole/adults.json"
# A finding it was never shown, in adults from the hospital of the adult Normals.
others=("$data"/{train,val}/"Other Pneumonia"/*)
"$roentgen" predict --model "$small" --json "${others[@]}" >"$whole/others.jsonl"
called=$(grep -c '"label":"COVID-19"' "$whole/others.jsonl" || true)

"$roentgen" card --model "$small" \
  --licence "For research and teaching only, as the collections it was trained on allow (COVID-19 Radiography Database; Kermany et al., CC BY 4.0); no licence for a product is given" \
  --intended-use "Research and teaching: to show what such a network learns, and what not. Not a medical device; not for diagnosis, triage or reassurance." \
  --limitation "It has seen films of healthy people and of COVID-19 only. Any other finding is given to one of the two: of ${#others[@]} films of adults with another pneumonia it calls $called COVID-19 and $((${#others[@]} - called)) Normal." \
  --limitation "Its COVID-19 films come from Spain, Germany and the web, its Normal films from one hospital in the USA (adults) and one in China (children). It can tell hospitals apart by more than disease; on a hospital it has not seen it will be worse, and by how much is not known." \
  --limitation "Any picture gets a class, also one that is no chest film: lateral views, films of other body parts and photographs are not recognised as such. Blurred pictures look like haze in the lungs to it." \
  --limitation "Its percentages are not calibrated, and do not know how common the disease is where you are." \
  --evaluation "COVID-19 against Normal, adults and children, from collections seen in training=$whole/all.json" \
  --evaluation "COVID-19 against Normal, adults only, from collections seen in training=$whole/adults.json"
