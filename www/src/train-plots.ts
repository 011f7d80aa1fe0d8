/** Curves of the evaluation, drawn once; only the point of the threshold moves on them. */

import { axes, plot, TEXT, TRAIN, VALIDATION } from './train-charts';
import type { ClassCurves, CurvePoint, Measured, ReliabilityBin } from './train';
import type { ClassRates } from './types';

type Plot = import('uplot');
type Options = import('uplot').Options;

/** Pixels a side. */
const SIDE = 320;

/** What a curve shows at the threshold, as far as it is measured. */
type Mark = [x: number, y: number] | undefined;

/** The plots of one evaluation, in the elements that `train-evaluation.ts` has made for them. */
export class EvaluationPlots {
  #marked: { plot: Plot; label: number; mark: { at: Mark }; of: (rates: ClassRates) => Mark }[] = [];

  /** Draws what is measured in place of whatever was there. */
  async draw(root: HTMLElement, { curves, reliability }: Measured): Promise<void> {
    this.#marked = [];
    for (const into of root.querySelectorAll<HTMLElement>('[data-curve]')) {
      into.replaceChildren();
      const label = Number(into.dataset['class']);
      const of = curves[label];
      if (into.dataset['curve'] === 'reliability') await drawReliability(into, reliability);
      else if (of !== undefined) await this.#drawCurve(into, into.dataset['curve'] as 'roc' | 'pr', label, of);
    }
  }

  /** Shows where class `label` is on its curves at the threshold that gives `rates`. */
  mark(label: number, rates: ClassRates | undefined): void {
    for (const { plot, label: own, mark, of } of this.#marked) {
      mark.at = own === label && rates !== undefined ? of(rates) : undefined;
      plot.redraw(false);
    }
  }

  async #drawCurve(into: HTMLElement, kind: 'roc' | 'pr', label: number, curves: ClassCurves): Promise<void> {
    const mark: { at: Mark } = { at: undefined };
    const options = kind === 'roc' ? square(into, '1 − specificity', 'sensitivity') : square(into, 'recall', 'precision');
    const { default: UPlot } = await import('uplot');
    const stepped = UPlot.paths.stepped?.({ align: -1 });
    const drawn = await plot(
      {
        ...options,
        // Precision falls along steps; a straight line between its points would promise too much.
        series: [{}, { stroke: TRAIN, width: 2, points: { show: false }, ...(kind === 'pr' && stepped ? { paths: stepped } : {}) }],
        hooks: { draw: [(self) => mark.at && dot(self, mark.at)] },
      },
      columns(kind === 'roc' ? curves.roc : curves.precision_recall),
      into,
    );
    const of = ({ sensitivity, specificity, ppv }: ClassRates): Mark => {
      if (sensitivity === null) return undefined;
      if (kind === 'pr') return [sensitivity, ppv ?? 1];
      return specificity === null ? undefined : [1 - specificity, sensitivity];
    };
    this.#marked.push({ plot: drawn, label, mark, of });
  }
}

function columns(points: CurvePoint[]): import('uplot').AlignedData {
  return [points.map(([x]) => x), points.map(([, y]) => y)];
}

function square(into: HTMLElement, x: string, y: string): Omit<Options, 'series'> {
  const unit = { time: false, range: [0, 1] as [number, number] };
  const side = Math.min(SIDE, Math.max(240, into.clientWidth));
  return { width: side, height: side, cursor: { show: false }, legend: { show: false }, scales: { x: unit, y: unit }, axes: axes(x, y) };
}

/** What a well calibrated model has on the diagonal, with the intervals of each bin. */
async function drawReliability(into: HTMLElement, bins: ReliabilityBin[]): Promise<void> {
  const filled = bins.filter((bin) => bin.confidence !== null && bin.accuracy !== null);
  const whiskers = (self: Plot): void => {
    line(self, [0, 0], [1, 1], TEXT);
    for (const { confidence, accuracy_interval } of filled) {
      if (accuracy_interval === null || confidence === null) continue;
      line(self, [confidence, accuracy_interval[0]], [confidence, accuracy_interval[1]], VALIDATION);
    }
  };
  await plot(
    {
      ...square(into, 'probability', 'correct'),
      series: [{}, { stroke: TRAIN, width: 2, points: { show: true, size: 7 } }],
      hooks: { draw: [whiskers] },
    },
    [filled.map(({ confidence }) => confidence ?? 0), filled.map(({ accuracy }) => accuracy ?? 0)],
    into,
  );
}

function place(self: Plot, [x, y]: [number, number]): [number, number] {
  return [self.valToPos(x, 'x', true), self.valToPos(y, 'y', true)];
}

function line(self: Plot, from: [number, number], to: [number, number], colour: string): void {
  const { ctx } = self;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(...place(self, from));
  ctx.lineTo(...place(self, to));
  ctx.stroke();
  ctx.restore();
}

function dot(self: Plot, at: [number, number]): void {
  const { ctx } = self;
  ctx.save();
  ctx.fillStyle = VALIDATION;
  ctx.beginPath();
  ctx.arc(...place(self, at), 6 * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fill();
  ctx.restore();
}
