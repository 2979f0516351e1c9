/** Completion of templates in CodeMirror: opens by itself after two braces, and takes the closing ones with it. */
import {
  type Completion,
  type CompletionContext,
  type CompletionResult,
  type CompletionSource,
  pickedCompletion,
  startCompletion,
} from "@codemirror/autocomplete";
import type { EditorState, Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { type Offer, type TemplateNames, begunIn, inserted, offersFor } from "./templates";

type Names = () => TemplateNames | undefined;

export function completeTemplates(names: Names): CompletionSource {
  return (context: CompletionContext): CompletionResult | null => {
    const known = names();
    const begun = begunBefore(context.state, context.pos);
    if (!known || !begun) return null;
    const options = offersFor(begun.text, known).map(completionOf);
    return options.length > 0 ? { from: begun.from, options, validFor: /^\{\{[ \t]*(?:\w+:)?[\w"' .-]*$/ } : null;
  };
}

/** Inside a template the kernel has nothing to say. */
export function outsideTemplates(names: Names, source: CompletionSource): CompletionSource {
  return (context) => (names() && begunBefore(context.state, context.pos) ? null : source(context));
}

export function opensByItself(names: Names): Extension {
  return EditorView.updateListener.of(({ view, state, transactions }) => {
    if (!transactions.some((transaction) => transaction.isUserEvent("input.type")) || !names()) return;
    const begun = begunBefore(state, state.selection.main.head);
    if (begun && /^(?:\w+[ \t]*:)?$/.test(begun.text)) startCompletion(view);
  });
}

function begunBefore(state: EditorState, pos: number): { from: number; text: string } | undefined {
  const line = state.doc.lineAt(pos);
  const begun = begunIn(line.text.slice(0, pos - line.from));
  return begun && { from: line.from + begun.from, text: begun.text };
}

function completionOf({ label, detail, open }: Offer): Completion {
  return {
    label,
    detail,
    apply: (view, completion, from, to) => {
      const behind = /^\}{0,2}/.exec(view.state.sliceDoc(to, to + 2))?.[0].length ?? 0;
      const insert = inserted(label, open);
      const anchor = from + insert.length - (open ? 2 : 0);
      view.dispatch({
        changes: { from, to: to + behind, insert },
        selection: { anchor },
        userEvent: "input.complete",
        annotations: pickedCompletion.of(completion),
      });
      if (open) startCompletion(view);
    },
  };
}
