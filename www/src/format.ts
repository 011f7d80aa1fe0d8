/** Numbers as people read them. British English, whatever the browser's language, as is all text here. */

import type { Interval } from './types';

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredth = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 3, maximumFractionDigits: 3 });

/** `12,345`. */
export function count(value: number): string {
  return whole.format(value);
}

/** A probability as per cent with one decimal; what would round to certainty is not called certain. */
export function probability(value: number): string {
  if (value > 0.999 && value < 1) return `> ${percent(0.999)}`;
  if (value < 0.001 && value > 0) return `< ${percent(0.001)}`;
  return percent(value);
}

/** A measured share as per cent with one decimal. */
export function percent(value: number): string {
  return `${tenth.format(value * 100)}\u202f%`;
}

/** `91.0–93.7 %`, kept on one line by word joiners. */
export function interval([low, high]: Interval): string {
  return `${tenth.format(low * 100)}\u2060–\u2060${percent(high)}`;
}

/** An area under a curve, three decimals. */
export function area(value: number): string {
  return hundredth.format(value);
}

/** Milliseconds below a second, seconds with one decimal above. */
export function duration(ms: number): string {
  return ms < 1000 ? `${whole.format(Math.max(1, ms))} ms` : `${tenth.format(ms / 1000)} s`;
}

/** `1.2 of 3.4 MB`, decimal megabytes; kilobytes while the whole is below one. */
export function bytesOf(loaded: number, total: number): string {
  const size = total < 1e6 ? 1e3 : 1e6;
  return `${tenth.format(loaded / size)} of ${tenth.format(total / size)} ${size === 1e3 ? 'kB' : 'MB'}`;
}

/** `A`, `A and B`, `A, B and C`. */
export function list(names: string[]): string {
  return new Intl.ListFormat('en-GB', { type: 'conjunction' }).format(names);
}
