// Markup: what is put into it is text, never HTML; and the two elements that several parts share.

import { Component, h, render } from "./preact-11.2.0.mjs";
import htm from "./htm-3.1.1.mjs";

export { Component, render };
export const html = htm.bind(h);

/** A modal dialog of the browser: it keeps the focus, closes at Escape, and gives the focus back. */
export class Dialog extends Component {
  componentDidMount() {
    this.element.showModal();
  }

  componentWillUnmount() {
    this.element.close();
  }

  render({ name, labelledby, onClose, children }) {
    const outside = (event) => event.target === this.element && onClose();
    const cancel = (event) => {
      event.preventDefault();
      onClose();
    };
    return html`<dialog class=${name} aria-labelledby=${labelledby} ref=${(e) => (this.element = e)}
      onCancel=${cancel} onClick=${outside}><div class="inside">${children}</div></dialog>`;
  }
}

const SIGNS = { good: "✓", waiting: "…", warning: "!", bad: "✕", paused: "‖" };

/** A status: a sign and words, so that nobody has to tell colours apart. */
export const Badge = ({ tone, children }) =>
  html`<span class="badge ${tone}"><span class="sign" aria-hidden="true">${SIGNS[tone]}</span><span class="text">${children}</span></span>`;
