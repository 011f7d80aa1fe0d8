/**
 * Registers `<xray-classifier>`: the script another site embeds, and the npm entry `roentgen/element`.
 *
 * ```html
 * <script type="module" src="https://example.org/roentgen.js"></script>
 * <xray-classifier model="https://example.org/models/scratch-cnn/"></xray-classifier>
 * ```
 */

import { XrayClassifier, type XrayClassifierEventMap } from './element';

export * from './element';
export * from './index';

// Twice on one page, from two scripts, is no error: the first one stays.
if (customElements.get('xray-classifier') === undefined) customElements.define('xray-classifier', XrayClassifier);

declare global {
  interface HTMLElementTagNameMap {
    'xray-classifier': XrayClassifier;
  }
  interface GlobalEventHandlersEventMap extends XrayClassifierEventMap {}
}
