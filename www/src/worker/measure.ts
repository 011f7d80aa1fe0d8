/**
 * What a model is worth on labelled images that it has classified: the page has their scores, and not the images any more.
 * Every rate and interval is the core's; here are only the points at which they are asked for. In a worker only.
 */

import type { TrainingCore } from '../modules';
import type { ClassCurves, CurvePoint, JudgedFilm, Measured, ReliabilityBin } from '../train-types';
import type { ClassRates } from '../types';

/** Bins of the reliability diagram, as many as `RELIABILITY_BINS` of the core. */
const BINS = 15;

/** The smallest probability whose logarithm is taken. */
const LEAST = 1e-7;

/** The rates of a class whose images are called so from a probability on. */
type Rates = (scores: number[], positives: boolean[], threshold: number) => ClassRates;

/** What `films` say of a model of `classes`: what `evaluateModel` of the core gives for images that it has. */
export function measured(core: TrainingCore, classes: string[], films: JudgedFilm[]): Measured {
  const rates: Rates = (scores, positives, threshold) =>
    JSON.parse(core.ratesAt(Float32Array.from(scores), Uint8Array.from(positives, Number), threshold)) as ClassRates;
  const right = proportion(films.map(({ truth, called }) => truth === called), rates);
  const confusion = classes.map((_, truth) =>
    classes.map((_, called) => films.filter((film) => film.truth === truth && film.called === called).length),
  );
  const curves = classes.map((_, label) => curvesOf(films, label, rates));
  const reliability = binsOf(films, rates);
  const gaps = reliability.map(({ count, accuracy, confidence }) => count * Math.abs((accuracy ?? 0) - (confidence ?? 0)));
  return {
    evaluation: {
      n: films.length,
      loss: mean(films.map(({ scores, truth }) => -Math.log(Math.max(scores[truth] ?? 0, LEAST)))) ?? 0,
      accuracy: right.value,
      accuracy_interval: right.interval,
      auroc: Object.fromEntries(classes.map((name, i) => [name, areaBelow(curves[i]?.roc ?? [])])),
      confusion,
      per_class: Object.fromEntries(
        classes.map((name, i) => [
          name,
          rates(films.map(({ called }) => Number(called === i)), films.map(({ truth }) => truth === i), 0.5),
        ]),
      ),
      classes,
    },
    curves,
    reliability,
    expected_calibration_error: films.length === 0 ? null : gaps.reduce((sum, gap) => sum + gap, 0) / films.length,
    films,
  };
}

function curvesOf(films: JudgedFilm[], label: number, rates: Rates): ClassCurves {
  const scores = films.map((film) => film.scores[label] ?? 0);
  const positives = films.map(({ truth }) => truth === label);
  const at = [...new Set(scores)].sort((a, b) => b - a).map((score) => ({ score, ...rates(scores, positives, score) }));
  const [some, all] = [positives.includes(true), !positives.includes(false)];
  const roc: CurvePoint[] = at.map(({ score, sensitivity, specificity }) => [1 - (specificity ?? 0), sensitivity ?? 0, score]);
  // Lower thresholds than that of the last image of the class only add false alarms.
  const enough = at.findIndex(({ sensitivity }) => sensitivity === 1);
  const precision: CurvePoint[] = at.slice(0, enough + 1).map(({ score, sensitivity, ppv }) => [sensitivity ?? 0, ppv ?? 0, score]);
  const steps: CurvePoint[] = [[0, 1, null], ...precision];
  return {
    roc: some && !all ? [[0, 0, null], ...roc] : [],
    precision_recall: some ? steps : [],
    average_precision: some ? precision.reduce((sum, [recall, ppv], i) => sum + (recall - steps[i]![0]) * ppv, 0) : null,
  };
}

/** The area below a curve of straight lines; null where there is none. */
function areaBelow(points: CurvePoint[]): number | null {
  if (points.length === 0) return null;
  return points.slice(1).reduce((sum, [x, y], i) => sum + ((x - points[i]![0]) * (y + points[i]![1])) / 2, 0);
}

function binsOf(films: JudgedFilm[], rates: Rates): ReliabilityBin[] {
  const sure = (film: JudgedFilm): number => film.scores[film.called] ?? 0;
  const binOf = (film: JudgedFilm): number => Math.max(1, Math.ceil(sure(film) * BINS)) - 1;
  return Array.from({ length: BINS }, (_, bin) => {
    const inside = films.filter((film) => binOf(film) === bin);
    const right = inside.length === 0 ? undefined : proportion(inside.map(({ truth, called }) => truth === called), rates);
    return {
      above: bin / BINS,
      up_to: (bin + 1) / BINS,
      count: inside.length,
      confidence: mean(inside.map(sure)),
      accuracy: right?.value ?? null,
      accuracy_interval: right?.interval ?? null,
    };
  });
}

/** The share of `hits` that are true, with its interval: the sensitivity of a test for what all of them have. */
function proportion(hits: boolean[], rates: Rates): { value: number; interval: [number, number] } {
  const { sensitivity, sensitivity_interval } = rates(hits.map(Number), hits.map(() => true), 0.5);
  return { value: sensitivity ?? 0, interval: sensitivity_interval ?? [0, 1] };
}

function mean(values: number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
