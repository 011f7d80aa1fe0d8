/** The section "What the numbers mean": a slider that turns sensitivity and specificity into predictive values. */

import { html, nothing, render, type TemplateResult } from 'lit';
import { count, interval, percent } from './format';
import { ofHundred, predictive, prevalenceAt, ratesOf, STEPS, type Rates } from './prevalence';
import type { ModelCard } from './types';

/** What was chosen. */
interface Choice {
  finding: string;
  step: number;
}

/** Shows the section for a model, and again whenever something else is chosen. */
export function showMeaning(card: ModelCard, into: HTMLElement): void {
  // About one in a hundred, on a scale whose middle is one in forty-five.
  const choice: Choice = { finding: card.classes[0] ?? '', step: 37 };
  const draw = (): void => {
    render(meaning(card, choice, change), into);
  };
  const change = (changed: Partial<Choice>): void => {
    Object.assign(choice, changed);
    draw();
  };
  draw();
}

function meaning(card: ModelCard, choice: Choice, change: (changed: Partial<Choice>) => void): TemplateResult {
  const rates = ratesOf(card, choice.finding);
  return html`
    <p>
      ${card.calibration
        ? html`The percentage beside a class is a probability, fitted on ${count(card.calibration.films)} images: of those called with
            80\u202f%, about 80\u202f% should be right. It holds for images in the mixture the model was made with, not for people in a
            waiting room.`
        : html`The percentage beside a class says how sure the network is. It was not held against how often it is right, so do
            not read it as a probability.`}
    </p>
    <p>
      Sensitivity is the share of images with a finding that are called so, specificity the share of images without it that are
      not. What an answer is worth depends on how common the disease is:
    </p>
    <div class="prevalence">
      <label>Finding
        <select id="finding" @change=${(event: Event) => change({ finding: (event.target as HTMLSelectElement).value })}>
          ${card.classes.map((name) => html`<option value=${name} ?selected=${name === choice.finding}>${name}</option>`)}
        </select>
      </label>
      <label>How common it is
        <input
          id="prevalence"
          type="range"
          min="0"
          max=${STEPS}
          .value=${String(choice.step)}
          aria-valuetext=${share(prevalenceAt(choice.step))}
          @input=${(event: Event) => change({ step: Number((event.target as HTMLInputElement).value) })}
        />
      </label>
      <div id="predictive" aria-live="polite">
        ${rates === undefined
          ? html`<p>How often ${choice.finding} is found was not measured.</p>`
          : answers(choice, rates, prevalenceAt(choice.step))}
      </div>
    </div>
  `;
}

function answers({ finding }: Choice, { sensitivity, specificity, atOperatingPoint }: Rates, prevalence: number): TemplateResult {
  const { ppv, npv } = predictive(sensitivity.value, specificity.value, prevalence);
  const at = (end: 0 | 1) => predictive(sensitivity.interval[end], specificity.interval[end], prevalence);
  const [low, high] = [at(0), at(1)];
  const range = (low: number | null, high: number | null) => html`(95\u202f% interval ${interval([low ?? 0, high ?? 1])})`;
  return html`
    <p>Where ${share(prevalence)} of the people imaged have it:</p>
    <ul>
      <li>
        ${ppv === null
          ? 'there are no positive answers.'
          : html`of 100 positive answers, <strong>${ofHundred(ppv)}</strong> would be right: PPV ${percent(ppv)}
              ${range(low.ppv, high.ppv)}`}
      </li>
      <li>
        ${npv === null
          ? 'there are no negative answers.'
          : html`of 100 negative answers, <strong>${ofHundred(npv)}</strong> would be right: NPV ${percent(npv)}
              ${range(low.npv, high.npv)}`}
      </li>
    </ul>
    <p class="quiet">
      From the sensitivity ${percent(sensitivity.value)} and the specificity ${percent(specificity.value)} measured for
      ${finding} ${atOperatingPoint ? 'at its operating point' : 'as the most probable class'}, as if other hospitals’ images were
      like the ones measured on. ${prevalence < 0.05 ? 'Where a disease is rare, most alarms are false.' : nothing}
    </p>
  `;
}

/** `1.0 % (10 in 1,000)`. */
function share(prevalence: number): string {
  return `${percent(prevalence)} (${count(Math.round(prevalence * 1000))} in 1,000)`;
}
