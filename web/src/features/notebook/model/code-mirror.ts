/** What an editor of a cell is made of: keys as in Jupyter, completion and help from the kernel, colours from the page's theme. */
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  acceptCompletion,
  startCompletion,
} from "@codemirror/autocomplete";
import {
  defaultKeymap,
  history,
  historyKeymap,
  indentLess,
  indentMore,
  insertTab,
  toggleComment,
} from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, Prec, Transaction } from "@codemirror/state";
import { EditorView, drawSelection, highlightSpecialChars, keymap } from "@codemirror/view";
import { setDiagnostics } from "@codemirror/lint";
import { colours, languageOf } from "../../../shared/code";
import { type Assistance, completeFrom, inspectAt, inspectionField } from "./assistance";
import { type Mark, diagnosticsOf } from "./marks";
import { completeTemplates, opensByItself, outsideTemplates } from "./template-completion";
import type { TemplateNames } from "./templates";

export type { Assistance } from "./assistance";

export interface EditorKeys {
  onRun: () => void;
  onRunAndAdvance: () => void;
  onRunAndInsert: () => void;
  onLeave: () => void;
  onUp: () => void;
  onDown: () => void;
}

interface Options {
  parent: HTMLElement;
  label: string;
  text: string;
  language: string;
  readOnly: boolean;
  keys: EditorKeys;
  assistance: () => Assistance | undefined;
  /** undefined where templates are text. */
  templates: () => TemplateNames | undefined;
  onChange: (text: string) => void;
  onFocus: () => void;
}

const language = new Compartment();

export function createEditor(options: Options): EditorView {
  const listener = EditorView.updateListener.of((update) => {
    const ours = update.transactions.some((transaction) => transaction.annotation(Transaction.remote) === true);
    if (update.docChanged && !ours) options.onChange(update.state.doc.toString());
    if (update.focusChanged && update.view.hasFocus) options.onFocus();
  });
  return new EditorView({
    parent: options.parent,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        Prec.highest(keymap.of(cellKeys(options))),
        history(),
        drawSelection(),
        highlightSpecialChars(),
        indentOnInput(),
        indentUnit.of("    "),
        bracketMatching(),
        closeBrackets(),
        highlightSelectionMatches(),
        autocompletion({
          override: [
            completeTemplates(options.templates),
            outsideTemplates(options.templates, completeFrom(options.assistance)),
          ],
          activateOnTyping: false,
        }),
        opensByItself(options.templates),
        inspectionField,
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap]),
        language.of(languageOf(options.language)),
        colours,
        look,
        EditorView.lineWrapping,
        EditorState.readOnly.of(options.readOnly),
        EditorView.editable.of(!options.readOnly),
        EditorView.contentAttributes.of({ "aria-label": options.label }),
        listener,
      ],
    }),
  });
}

export function setEditorText(view: EditorView, text: string): void {
  const present = view.state.doc.toString();
  if (present === text) return;
  view.dispatch({
    changes: { from: 0, to: present.length, insert: text },
    annotations: Transaction.remote.of(true),
  });
}

export function setEditorMarks(view: EditorView, marks: readonly Mark[]): void {
  view.dispatch(setDiagnostics(view.state, diagnosticsOf(view.state.doc, marks)));
}

export function setEditorLanguage(view: EditorView, name: string): void {
  view.dispatch({ effects: language.reconfigure(languageOf(name)) });
}

function cellKeys({ keys, assistance }: Options) {
  const act = (action: () => void) => () => {
    action();
    return true;
  };
  return [
    { key: "Shift-Enter", run: act(keys.onRunAndAdvance) },
    { key: "Mod-Enter", run: act(keys.onRun) },
    { key: "Ctrl-Enter", run: act(keys.onRun) },
    { key: "Alt-Enter", run: act(keys.onRunAndInsert) },
    { key: "Shift-Tab", run: (view: EditorView) => inspectAt(view, assistance()) || indentLess(view) },
    { key: "Tab", run: tab },
    { key: "Mod-/", run: toggleComment },
    { key: "Escape", run: (view: EditorView) => leave(view, keys.onLeave) },
    { key: "ArrowUp", run: (view: EditorView) => atEdge(view, "first") && act(keys.onUp)() },
    { key: "ArrowDown", run: (view: EditorView) => atEdge(view, "last") && act(keys.onDown)() },
  ];
}

/** Tab completes after a word or a dot, indents elsewhere. */
function tab(view: EditorView): boolean {
  if (acceptCompletion(view)) return true;
  const { main } = view.state.selection;
  if (!main.empty) return indentMore(view);
  const before = view.state.doc.lineAt(main.head).text.slice(0, main.head - view.state.doc.lineAt(main.head).from);
  return /[\w.)\]]$/.test(before) ? startCompletion(view) : insertTab(view);
}

/** Escape closes what is open over the editor first. */
function leave(view: EditorView, onLeave: () => void): boolean {
  if (view.dom.querySelector(".cm-tooltip, .cm-panel.cm-search")) return false;
  onLeave();
  return true;
}

function atEdge(view: EditorView, edge: "first" | "last"): boolean {
  const { main } = view.state.selection;
  if (!main.empty || view.dom.querySelector(".cm-tooltip-autocomplete")) return false;
  const line = view.state.doc.lineAt(main.head).number;
  return edge === "first" ? line === 1 : line === view.state.doc.lines;
}

const look = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "transparent", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)", padding: "8px 0" },
  ".cm-line": { padding: "0 12px" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 26%, transparent)",
  },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--accent) 14%, transparent)" },
  ".cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--accent) 22%, transparent)", outline: "none" },
  ".cm-tooltip": {
    border: "1px solid var(--line)",
    borderRadius: "8px",
    backgroundColor: "var(--surface)",
    color: "var(--text)",
    boxShadow: "var(--shadow)",
  },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--text)" },
  ".cm-inspection": {
    maxWidth: "640px",
    maxHeight: "280px",
    overflow: "auto",
    padding: "10px 12px",
    margin: "0",
    whiteSpace: "pre-wrap",
    fontFamily: "var(--mono)",
  },
});
