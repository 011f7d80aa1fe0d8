/** What a finding's sensitivity and specificity are worth where the disease is rare or common. */

import type { Evaluation, Interval, ModelCard, Share } from './types';

/** A finding's sensitivity and specificity on films that nothing was chosen by, each with its interval. */
export interface Rates {
  sensitivity: { value: number; interval: Interval };
  specificity: { value: number; interval: Interval };
  /** Whether they are those of the operating point; otherwise those of being the most probable class. */
  atOperatingPoint: boolean;
}

/** The range of the slider: from one in a thousand to every second. */
const RANGE: Interval = [0.001, 0.5];

/** Steps of the slider. */
export const STEPS = 100;

/** The share of people with the disease at a place of the slider, whose scale is logarithmic. */
export function prevalenceAt(step: number): number {
  const [low, high] = RANGE;
  return low * (high / low) ** (step / STEPS);
}

/** Positive and negative predictive value: Bayes' theorem. Null where there is no positive, or no negative, answer. */
export function predictive(sensitivity: number, specificity: number, prevalence: number): { ppv: number | null; npv: number | null } {
  const [hits, misses] = [sensitivity * prevalence, (1 - sensitivity) * prevalence];
  const [alarms, clears] = [(1 - specificity) * (1 - prevalence), specificity * (1 - prevalence)];
  return {
    ppv: hits + alarms > 0 ? hits / (hits + alarms) : null,
    npv: misses + clears > 0 ? clears / (misses + clears) : null,
  };
}

/** What the first measurement on the card says of a finding. */
export function ratesOf({ metrics }: ModelCard, finding: string): Rates | undefined {
  const evaluation = metrics?.[0]?.evaluation;
  if (evaluation === undefined) return undefined;
  const point = evaluation.operating_points?.[finding];
  if (point?.sensitivity && point.specificity) {
    return { sensitivity: bounded(point.sensitivity), specificity: bounded(point.specificity), atOperatingPoint: true };
  }
  return asMostProbable(evaluation, finding);
}

function asMostProbable({ per_class }: Evaluation, finding: string): Rates | undefined {
  const rates = per_class[finding];
  if (!rates?.sensitivity_interval || !rates.specificity_interval) return undefined;
  if (rates.sensitivity === null || rates.specificity === null) return undefined;
  return {
    sensitivity: { value: rates.sensitivity, interval: rates.sensitivity_interval },
    specificity: { value: rates.specificity, interval: rates.specificity_interval },
    atOperatingPoint: false,
  };
}

function bounded({ value, interval, interval_by_group }: Share): { value: number; interval: Interval } {
  return { value, interval: interval_by_group ?? interval };
}

/** `N of 100` in words, for people: what rounds to none or to all is not called so. */
export function ofHundred(share: number): string {
  if (share > 0 && share < 0.005) return 'fewer than 1';
  if (share < 1 && share >= 0.995) return 'more than 99';
  return String(Math.round(share * 100));
}
