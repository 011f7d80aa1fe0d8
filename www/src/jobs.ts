/** The worker's side of its calls: each has a number, can be ended, and comes back as a result or a failure. */

import type { Failure } from './errors';
import { isFailure } from './fetch';
import type { Outcome } from './link';
import type { ValueRange } from './types';

const jobs = new Map<number, AbortController>();

/** Ends a call. */
export function cancel(job: number): void {
  jobs.get(job)?.abort();
}

/** What `work` gives, or why it failed; its signal is aborted by {@link cancel}. */
export async function run<T>(job: number, work: (signal: AbortSignal) => Promise<T>): Promise<Outcome<T>> {
  const controller = new AbortController();
  jobs.set(job, controller);
  try {
    return { ok: true, value: await work(controller.signal) };
  } catch (cause) {
    return { ok: false, failure: failureOf(cause) };
  } finally {
    jobs.delete(job);
  }
}

/** The kind and cause of anything thrown here: our own failures, the core's errors, the browser's. */
export function failureOf(cause: unknown): Failure {
  if (cause instanceof WebAssembly.CompileError || cause instanceof WebAssembly.LinkError) {
    return { kind: 'unsupported-browser', detail: cause.message };
  }
  if (cause instanceof Error && 'kind' in cause) {
    const { kind, message, range } = cause as Error & { kind: unknown; range?: ValueRange };
    return { kind: String(kind), detail: message, range };
  }
  if (isFailure(cause)) return cause;
  return { kind: 'internal', detail: String(cause) };
}
