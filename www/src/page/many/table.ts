/** The rows of the table: which images are shown, and in which order. */

import { said } from '../../view';
import type { Item } from './queue';

/** What the rows are ordered by: the order that the files came in, a column, or the probability of a class. */
export type SortBy = 'index' | 'path' | 'label' | 'answer' | { score: string };

export interface Order {
  by: SortBy;
  descending: boolean;
}

/** Which images are shown. */
export type Shown = 'all' | 'answered' | 'rejected' | 'error' | 'waiting' | 'wrong' | { answer: string };

/** What became of an image, in words; empty while it waits. */
export function answerOf({ result, error }: Item): string {
  if (error !== undefined) return 'Error';
  if (result === undefined) return '';
  return result.label === null ? 'Rejected' : said(result);
}

/** Why there is no answer; empty where there is one. */
export function reasonOf({ result, error }: Item): string {
  return error?.message ?? result?.refused?.message ?? '';
}

/** Whether an answer leaves out the class that the folder says. */
export function isWrong({ label, result }: Item): boolean {
  if (label === undefined || result === undefined || result.label === null) return false;
  return result.answer === null ? result.label !== label : !result.answer.set.includes(label);
}

/** The images that are asked for, in order. */
export function rows(items: Item[], shown: Shown, text: string, { by, descending }: Order): Item[] {
  const words = text.trim().toLowerCase();
  const found = items.filter((item) => isShown(item, shown) && (words === '' || item.path.toLowerCase().includes(words)));
  const collator = new Intl.Collator('en-GB', { numeric: true });
  const compare = (a: Item, b: Item): number => {
    if (by === 'index') return 0;
    if (typeof by === 'object') return scoreOf(a, by.score) - scoreOf(b, by.score);
    const of = (item: Item): string => (by === 'path' ? item.path : by === 'label' ? (item.label ?? '') : answerOf(item));
    return collator.compare(of(a), of(b));
  };
  const sign = descending ? -1 : 1;
  return found.sort((a, b) => sign * compare(a, b) || a.index - b.index);
}

/** The answers that there are, each with how often. */
export function answers(items: Item[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const item of items) {
    if (item.result?.label == null) continue;
    const answer = answerOf(item);
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

function isShown(item: Item, shown: Shown): boolean {
  if (typeof shown === 'object') return item.result?.label != null && answerOf(item) === shown.answer;
  switch (shown) {
    case 'all':
      return true;
    case 'answered':
      return item.result?.label != null;
    case 'rejected':
      return item.result?.label === null;
    case 'error':
      return item.error !== undefined;
    case 'waiting':
      return item.result === undefined && item.error === undefined;
    case 'wrong':
      return isWrong(item);
  }
}

/** What has no probability comes before all that has. */
function scoreOf({ result }: Item, name: string): number {
  return result?.scores?.[name] ?? -1;
}
