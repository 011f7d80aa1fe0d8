/** The results as files. They name files, and nothing else that an image's header may say of anybody. */

import type { ModelCard } from '../../types';
import type { Item } from './queue';
import { answerOf, reasonOf } from './table';

/** What the results say of the model that gave them. */
interface Model {
  id: string;
  name: string;
  version: string;
  weights_sha256: string;
}

/** A line for each image that was looked at, for spreadsheets: RFC 4180, UTF-8 with its mark. */
export function csv(items: Item[], card: ModelCard): Blob {
  const { id, version, weights_sha256 } = modelOf(card);
  const head = ['file', 'folder_class', 'outcome', 'answer', 'answer_set', 'most_probable', ...card.classes.map((name) => `probability ${name}`)];
  const lines = looked(items).map((item) => {
    const { result } = item;
    return [
      item.path,
      item.label ?? '',
      outcomeOf(item),
      result?.label == null ? '' : answerOf(item),
      result?.answer?.set.join('; ') ?? '',
      result?.label ?? '',
      ...card.classes.map((name) => result?.scores?.[name]?.toFixed(6) ?? ''),
      result?.refused?.reason ?? item.error?.kind ?? '',
      reasonOf(item),
      id,
      version,
      weights_sha256,
    ];
  });
  const rows = [[...head, 'reason', 'reason_in_words', 'model', 'model_version', 'weights_sha256'], ...lines];
  return new Blob(['\ufeff', ...rows.map((row) => `${row.map(cell).join(',')}\r\n`)], { type: 'text/csv' });
}

/** The same for programs. */
export function json(items: Item[], card: ModelCard): Blob {
  const images = looked(items).map((item) => {
    const { path: file, label, result, error } = item;
    return {
      file,
      folder_class: label ?? null,
      outcome: outcomeOf(item),
      answer: result?.label == null ? null : answerOf(item),
      answer_set: result?.answer?.set ?? null,
      most_probable: result?.label ?? null,
      scores: result?.scores ?? null,
      rejection: result?.refused ?? null,
      error: error === undefined ? null : { kind: error.kind, message: error.message },
    };
  });
  return new Blob([JSON.stringify({ model: modelOf(card), images }, undefined, 1)], { type: 'application/json' });
}

function modelOf({ id, name, version, weights }: ModelCard): Model {
  return { id, name, version, weights_sha256: weights.sha256 };
}

/** Those that the run came to. */
function looked(items: Item[]): Item[] {
  return items.filter(({ result, error }) => result !== undefined || error !== undefined);
}

function outcomeOf({ result, error }: Item): 'answered' | 'rejected' | 'error' {
  if (error !== undefined) return 'error';
  return result?.label == null ? 'rejected' : 'answered';
}

/** A cell; one that a spreadsheet would take for a formula is text. */
function cell(value: string): string {
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
