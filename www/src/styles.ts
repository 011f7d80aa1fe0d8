/** The element's looks: a black stage and a quiet panel. Sites change it through the custom properties and parts. */

import { css } from 'lit';

export const styles = css`
  :host {
    --_text: var(--roentgen-text, #e6eaee);
    --_quiet: var(--roentgen-quiet, #97a3ae);
    --_surface: var(--roentgen-surface, #12161a);
    --_line: var(--roentgen-line, #262d34);
    --_accent: var(--roentgen-accent, #a9cbe8);
    --_warning: var(--roentgen-warning, #e9b872);

    display: block;
    min-height: 30rem;
    container-type: inline-size;
    color: var(--_text);
    font: 400 1rem/1.55 var(--roentgen-font, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif);
    text-align: start;
  }

  :host([hidden]),
  [hidden] {
    display: none !important;
  }

  * {
    box-sizing: border-box;
  }

  p,
  ul {
    margin: 0;
    padding: 0;
  }

  .frame {
    display: grid;
    grid-template: minmax(0, 1fr) / minmax(0, 1fr) 22.5rem;
    height: 100%;
    min-height: inherit;
    overflow: hidden;
    border: 1px solid var(--_line);
    border-radius: 10px;
    background: var(--_surface);
  }

  /* The stage. */
  .stage {
    position: relative;
    display: grid;
    min-height: 0;
    overflow: hidden;
    background: #000;
  }

  canvas {
    position: absolute;
    inset: 1.25rem 1.25rem 3rem;
    width: calc(100% - 2.5rem);
    height: calc(100% - 4.25rem);
    object-fit: contain;
  }

  .invitation {
    place-self: center;
    padding: 3rem 2rem;
    text-align: center;
    color: var(--_quiet);
  }

  .lead {
    margin-bottom: 0.35rem;
    color: var(--_text);
    font-size: clamp(1.5rem, 1rem + 2cqi, 2rem);
    letter-spacing: -0.01em;
    line-height: 1.25;
  }

  .touch {
    display: none;
  }

  /* A finger drops no files. */
  @media (hover: none) and (pointer: coarse) {
    .touch {
      display: block;
    }

    .mouse {
      display: none;
    }
  }

  .invitation button {
    margin: 1.1rem 0 1.6rem;
  }

  .formats {
    font-size: 0.8125rem;
    letter-spacing: 0.04em;
  }

  .overlay {
    position: absolute;
    inset: auto 1.5rem 1.1rem;
    display: flex;
    justify-content: space-between;
    gap: 1rem;
    color: var(--_quiet);
    font: 0.8125rem/1.4 ui-monospace, 'SF Mono', Menlo, Consolas, monospace;
  }

  .overlay span:first-child {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .overlay span:last-child {
    flex: none;
  }

  /* Register marks: brighter while a file hovers. */
  .corners {
    position: absolute;
    inset: 0;
    pointer-events: none;
  }

  .corners i {
    position: absolute;
    width: 1.1rem;
    height: 1.1rem;
    border: 0 solid #3b4650;
    transition: border-color 0.15s;
  }

  .corners i:nth-child(1) {
    inset: 0.75rem auto auto 0.75rem;
    border-width: 1px 0 0 1px;
  }

  .corners i:nth-child(2) {
    inset: 0.75rem 0.75rem auto auto;
    border-width: 1px 1px 0 0;
  }

  .corners i:nth-child(3) {
    inset: auto auto 0.75rem 0.75rem;
    border-width: 0 0 1px 1px;
  }

  .corners i:nth-child(4) {
    inset: auto 0.75rem 0.75rem auto;
    border-width: 0 1px 1px 0;
  }

  .dragging .corners i {
    border-color: var(--_accent);
  }

  .dragging::after {
    content: 'Let go to classify it';
    position: absolute;
    inset: auto 0 2.25rem;
    text-align: center;
    color: var(--_accent);
    text-shadow: 0 0 4px #000, 0 0 8px #000;
  }

  /* The panel. */
  .panel {
    display: flex;
    flex-direction: column;
    gap: 1.75rem;
    min-height: 0;
    padding: 1.75rem 1.75rem 1.25rem;
    overflow-y: auto;
    border-inline-start: 1px solid var(--_line);
    outline: none;
  }

  .eyebrow {
    margin-bottom: 0.4rem;
    color: var(--_quiet);
    font-size: 0.8125rem;
    letter-spacing: 0.04em;
  }

  .label {
    margin-bottom: 1.1rem;
    font-size: 2rem;
    letter-spacing: -0.015em;
    line-height: 1.15;
    overflow-wrap: anywhere;
  }

  .quiet,
  .note,
  .caution {
    color: var(--_quiet);
    font-size: 0.875rem;
  }

  p + .quiet {
    margin-top: 0.6rem;
  }

  .quiet + button {
    margin-top: 1.1rem;
  }

  .mark {
    margin-bottom: 1rem;
    padding: 0.6rem 0.8rem;
    border: 1px solid var(--_warning);
    border-radius: 6px;
    color: var(--_warning);
  }

  .refused .scores,
  .refused .label {
    opacity: 0.75;
  }

  p + .scores {
    margin-top: 0.9rem;
  }

  .scores {
    margin-bottom: 1.5rem;
    list-style: none;
  }

  .scores li {
    display: grid;
    grid-template-columns: 1fr auto;
    gap: 0.35rem 1rem;
    padding: 0.55rem 0;
    color: var(--_quiet);
  }

  .scores .first {
    color: var(--_text);
  }

  .value {
    font-variant-numeric: tabular-nums;
  }

  .bar {
    grid-column: 1 / -1;
    width: 100%;
    height: 5px;
    overflow: hidden;
    border-radius: 3px;
    fill: #6d7a86;
  }

  .bar rect {
    transition: width 0.35s cubic-bezier(0.2, 0.7, 0.2, 1);
  }

  .first .bar {
    fill: var(--_accent);
  }

  .bar .rail {
    fill: #232a31;
  }

  .explained {
    display: grid;
    gap: 0.75rem;
    justify-items: start;
  }

  .explained label {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.5rem 0.75rem;
    width: 100%;
    font-size: 0.875rem;
  }

  .explained select {
    min-height: 2.75rem;
    max-width: 100%;
    padding: 0 0.75rem;
    border: 1px solid #3b4650;
    border-radius: 6px;
    background: var(--_surface);
    color: inherit;
    font: inherit;
  }

  .explained input {
    flex: 1;
    min-width: 6rem;
    height: 1.5rem;
    accent-color: var(--_accent);
  }

  .problem {
    padding-inline-start: 1rem;
    border-inline-start: 3px solid var(--_warning);
  }

  .problem .eyebrow {
    color: var(--_warning);
  }

  .sentence {
    overflow-wrap: anywhere;
  }

  .detail {
    margin-top: 0.6rem;
    color: var(--_quiet);
    font: 0.8125rem/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, monospace;
    overflow-wrap: anywhere;
  }

  .problem button {
    margin-top: 1rem;
  }

  progress {
    display: block;
    width: 100%;
    height: 5px;
    margin: 0.35rem 0 0.6rem;
    overflow: hidden;
    border: 0;
    border-radius: 3px;
    appearance: none;
    background: #232a31;
    color: var(--_accent);
  }

  progress::-webkit-progress-bar {
    background: #232a31;
  }

  progress::-webkit-progress-value {
    background: var(--_accent);
  }

  progress::-moz-progress-bar {
    background: var(--_accent);
  }

  progress:indeterminate::-moz-progress-bar {
    width: 0;
  }

  .foot {
    margin-top: auto;
  }

  .foot button {
    width: 100%;
    margin-bottom: 1rem;
  }

  .caution {
    font-size: 0.8125rem;
  }

  button {
    min-height: 2.75rem;
    padding: 0.5rem 1.25rem;
    border: 1px solid #3b4650;
    border-radius: 6px;
    background: transparent;
    color: var(--_text);
    font: inherit;
    cursor: pointer;
    transition: background 0.15s, border-color 0.15s;
  }

  button:hover {
    border-color: #5a6874;
    background: #1b2127;
  }

  .primary {
    border-color: var(--_accent);
    background: var(--_accent);
    color: #0b1015;
    font-weight: 500;
  }

  .primary:hover {
    border-color: #c6def2;
    background: #c6def2;
  }

  button:focus-visible,
  select:focus-visible,
  input:focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: 3px;
  }

  .unseen {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }

  /* Narrow: the panel goes below the film, and grows with what it says. */
  @container (max-width: 46rem) {
    .frame {
      grid-template: auto auto / minmax(0, 1fr);
      height: auto;
      min-height: 0;
    }

    .stage {
      min-height: min(100cqi, 70vh);
    }

    .panel {
      padding: 1.5rem 1.25rem 1.25rem;
      border-inline-start: 0;
      border-block-start: 1px solid var(--_line);
    }
  }

  @media (prefers-reduced-motion: reduce) {
    * {
      transition: none !important;
    }
  }

  @media (forced-colors: active) {
    .bar rect {
      fill: CanvasText;
      forced-color-adjust: none;
    }

    .bar .rail {
      fill: GrayText;
    }
  }
`;
