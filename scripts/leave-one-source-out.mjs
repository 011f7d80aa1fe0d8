// What the measures against shortcuts change on a hospital that was not trained on: short trainings that see Normal films of
// one of its two sources only, judged by validation films of the other. Prints the lines of the ablation in
// scripts/four_findings.json.
//
//   node scripts/leave-one-source-out.mjs DATA_DIR WEIGHTS LUNGS_DIR
//
// DATA_DIR as for scripts/make_four_findings.sh, whose recipe this is, a twentieth as long; WEIGHTS are ImageNet's, which
// that script downloads; LUNGS_DIR has films with their lungs drawn, as `roentgen lungs fit` takes them, from which the films
// are cut to their lungs. Takes an hour on two cores; what is trained stays in runs/leave-one-source-out, and is not trained
// again. No test film is looked at, but by what cuts all films alike.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from './record.mjs';

const [whole, weights, drawn] = process.argv.slice(2).map((path) => resolve(path));
if (drawn === undefined) {
  throw new Error('give the folder of the films, the file of the weights to start from, and the folder of lungs drawn');
}
const tool = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/roentgen');
const runs = join(root, 'runs/leave-one-source-out');
mkdirSync(runs, { recursive: true });
execFileSync('cargo', ['build', '--locked', '--release'], { cwd: root, stdio: ['ignore', process.stderr, 'inherit'] });

const SICK = ['COVID-19', 'Viral Pneumonia', 'Bacterial Pneumonia'];
const PNEUMONIAS = SICK.slice(1);

/**
 * The two sources of Normal: how their files and those of the other begin, and who is ill in the same collection. Against those
 * they are judged: what tells the two collections apart is of no use there.
 */
const SOURCES = {
  'healthy adults': { own: 'rad_*', other: 'ker_*', ill: ['COVID-19'] },
  'healthy children': { own: 'ker_*', other: 'rad_*', ill: PNEUMONIAS },
};

const CHANGES = ['--augment', '1', '--blur', '1', '--noise', '0.02', '--frame', '0.1'];
const MEASURES = {
  'films as they are': { settings: [] },
  'histograms equalised': { settings: ['--contrast', 'equalise'] },
  'much done to each film in training': { settings: CHANGES },
  both: { settings: ['--contrast', 'equalise', ...CHANGES] },
  'much done, and every other film with the surroundings of another': { settings: [...CHANGES, '--surroundings', '0.5'] },
  'much done, and films cut to their lungs': { settings: CHANGES, cut: true },
};

const only = (patterns) => patterns.flatMap((pattern) => ['--only', pattern]);
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** The films cut to their lungs, unless that was done. */
function cutFilms() {
  const [finder, films] = [join(runs, 'lungs.safetensors'), join(runs, 'films-cut')];
  const run = (...given) => execFileSync(tool, ['lungs', ...given], { stdio: ['ignore', process.stderr, 'inherit'] });
  if (!existsSync(finder)) run('fit', '--masks', drawn, '--out', finder);
  // The manifest is written last.
  if (!existsSync(join(films, 'manifest.csv'))) run('crop', '--finder', finder, '--data', whole, '--out', films);
  return films;
}

/** Trains without one source of Normal, unless that was done, and gives the model's folder. */
function trained(data, name, kept, settings) {
  const out = join(runs, name);
  if (!existsSync(join(out, 'weights.safetensors'))) {
    const films = only([...SICK.map((label) => `${label}/*`), `Normal/${kept}`]);
    const recipe = '--balance square-root --batch-size 32 --schedule cosine --warmup-steps 50 --learning-rate 1e-3 --seed 1'
      + ' --weight-decay 0.02 --dropout 0.2 --epochs 1 --steps-per-epoch 320 --freeze conv_stem,bn1,blocks.0,blocks.1';
    const classes = ['COVID-19', 'Normal', ...PNEUMONIAS].join(',');
    const given = ['--arch', 'efficientnet-lite0-slim', '--init', weights, '--data', data, '--out', out, '--classes', classes];
    execFileSync(tool, ['train', ...given, ...films, ...recipe.split(' '), ...settings, '--overwrite'], {
      stdio: ['ignore', process.stderr, 'inherit'],
    });
  }
  return out;
}

/** What the model makes of validation films of some classes. */
function measured(data, model, name, patterns) {
  const file = join(runs, `${name}.json`);
  execFileSync(tool, ['evaluate', '--model', model, '--data', join(data, 'val'), '--json', file, ...only(patterns)]);
  return JSON.parse(readFileSync(file, 'utf8'));
}

const lines = [];
for (const [people, { own, other, ill }] of Object.entries(SOURCES)) {
  for (const [measure, { settings, cut }] of Object.entries(MEASURES)) {
    const data = cut ? cutFilms() : whole;
    const name = `${people}, ${measure}`.replaceAll(/[ ,]+/g, '-');
    const model = trained(data, name, other, settings);
    const { auroc, auroc_interval, confusion } = measured(data, model, name, [...ill.map((label) => `${label}/*`), `Normal/${own}`]);
    const [covid, normal, viral, bacterial] = confusion[1].map((films, _, row) => films / row.reduce((sum, n) => sum + n));
    const area = auroc.Normal.toFixed(3);
    const [low, high] = auroc_interval.Normal.map((value) => value.toFixed(3));
    lines.push({
      measure: `${people[0].toUpperCase()}${people.slice(1)} kept out of training: ${measure}`,
      results: {
        'of them called Normal': percent(normal),
        'called COVID-19': percent(covid),
        'called a pneumonia': percent(viral + bacterial),
        'AUROC of Normal': `${area} (${low}–${high})`,
      },
    });
  }
}
console.log(JSON.stringify(lines, null, 2));
