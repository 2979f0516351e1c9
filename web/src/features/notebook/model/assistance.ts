/**
 * Completion and help from the kernel. The protocol counts Unicode code points, CodeMirror UTF-16 units: `codePoints` and `units` go
 * between them.
 */
import type { CompletionContext, CompletionResult, CompletionSource } from "@codemirror/autocomplete";
import { StateEffect, StateField } from "@codemirror/state";
import { type EditorView, type Tooltip, showTooltip } from "@codemirror/view";

export interface Assistance {
  complete(code: string, cursor: number): Promise<{ matches: string[]; start: number; end: number; types: string[] }>;
  /** Plain text; empty when the kernel knows nothing. */
  inspect(code: string, cursor: number): Promise<string>;
}

export function codePoints(text: string, units: number): number {
  return [...text.slice(0, units)].length;
}

export function unitsOf(text: string, points: number): number {
  return [...text].slice(0, points).join("").length;
}

export function completeFrom(assistance: () => Assistance | undefined): CompletionSource {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const help = assistance();
    if (!help) return null;
    const code = context.state.doc.toString();
    try {
      const { matches, start, end, types } = await help.complete(code, codePoints(code, context.pos));
      return {
        from: unitsOf(code, start),
        to: unitsOf(code, end),
        options: matches.map((label, i) => (types[i] ? { label, detail: types[i] } : { label })),
        validFor: /^\w*$/,
      };
    } catch {
      // The kernel is busy or away: there is nothing to suggest, and typing goes on.
      return null;
    }
  };
}

const showInspection = StateEffect.define<Tooltip | null>();

export const inspectionField = StateField.define<Tooltip | null>({
  create: () => null,
  update(tooltip, transaction) {
    const effect = transaction.effects.find((candidate) => candidate.is(showInspection));
    if (effect) return effect.value;
    return transaction.docChanged || transaction.selection ? null : tooltip;
  },
  provide: (field) => showTooltip.from(field),
});

/** Shows what the kernel knows of the name at the cursor. False when no one can be asked. */
export function inspectAt(view: EditorView, assistance: Assistance | undefined): boolean {
  const { main } = view.state.selection;
  const line = view.state.doc.lineAt(main.head);
  if (!assistance || !main.empty || line.text.slice(0, main.head - line.from).trim() === "") return false;
  const code = view.state.doc.toString();
  void assistance
    .inspect(code, codePoints(code, main.head))
    .then((text) => {
      if (text) view.dispatch({ effects: showInspection.of(tooltipOf(main.head, text)) });
    })
    .catch(() => undefined);
  return true;
}

function tooltipOf(pos: number, text: string): Tooltip {
  return {
    pos,
    above: false,
    create: () => {
      const dom = document.createElement("pre");
      dom.className = "cm-inspection";
      dom.textContent = text;
      return { dom };
    },
  };
}
