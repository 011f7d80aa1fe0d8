/** Curves, drawn by uPlot, which is downloaded with the first of them. Each is beside a table that says the same. */

import type { EpochRecord } from './train';

type Plot = import('uplot');

export const TEXT = '#97a3ae';
const GRID = { stroke: '#262d34', width: 1 };
export const TRAIN = '#a9cbe8';
export const VALIDATION = '#e9b872';

/** A plot; its styles are there with it. */
export async function plot(options: import('uplot').Options, data: import('uplot').AlignedData, into: HTMLElement): Promise<Plot> {
  const [{ default: UPlot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]);
  return new UPlot(options, data, into);
}

/** Both axes, by their names. */
export function axes(x: string, y: string): import('uplot').Axis[] {
  const axis = { stroke: TEXT, grid: GRID, ticks: GRID };
  return [
    { ...axis, label: x },
    { ...axis, label: y },
  ];
}

/** Loss and accuracy by epoch. */
export class Curves {
  #plots: Promise<Plot[]> | undefined;
  #drawn = '';

  /** Draws what there is, into two elements that stay the same. */
  async draw(loss: HTMLElement, accuracy: HTMLElement, epochs: EpochRecord[], running: { at: number; loss: number; accuracy: number } | undefined): Promise<void> {
    this.#plots ??= Promise.all(
      ([['loss', loss], ['accuracy', accuracy]] as const).map(([what, into]) =>
        plot(
          {
            width: Math.max(260, into.clientWidth),
            height: 220,
            cursor: { show: false },
            scales: { x: { time: false }, y: what === 'accuracy' ? { range: (_, low) => [Math.max(0, Math.min(low, 0.9) - 0.05), 1] } : {} },
            axes: axes('epoch', what),
            series: [
              { label: 'epoch' },
              { label: 'training', stroke: TRAIN, width: 2, points: { show: true, size: 5 } },
              { label: 'validation', stroke: VALIDATION, width: 2, dash: [6, 4], points: { show: true, size: 5 } },
            ],
            legend: { live: false },
          },
          [[], [], []],
          into,
        ),
      ),
    );
    const plots = await this.#plots;
    const x = epochs.map(({ epoch }) => epoch);
    for (const [i, what] of (['loss', 'accuracy'] as const).entries()) {
      const train: (number | null)[] = epochs.map((record) => record.train[what]);
      const validation: (number | null)[] = epochs.map((record) => record.validation[what]);
      const more = running === undefined ? [] : [running.at];
      plots[i]?.setData([
        [...x, ...more],
        [...train, ...more.map(() => running?.[what] ?? null)],
        [...validation, ...more.map(() => null)],
      ]);
    }
    this.#drawn = `${epochs.length}`;
  }

  /** How many epochs are on the screen, for tests. */
  get drawn(): string {
    return this.#drawn;
  }
}
