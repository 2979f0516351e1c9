import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { colours } from "./colours";
import { languageOf } from "./languages";

interface Props {
  label: string;
  language: string;
  text: string;
}

/** A source to read: all of it, as it is, and not to be changed. */
export function SourceText({ label, language, text }: Props) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!place.current) return undefined;
    const view = new EditorView({
      parent: place.current,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          languageOf(language),
          colours,
          look,
          EditorView.lineWrapping,
          EditorState.readOnly.of(true),
          EditorView.contentAttributes.of({ "aria-label": label, "aria-readonly": "true" }),
        ],
      }),
    });
    return () => {
      view.destroy();
    };
  }, [label, language, text]);
  return <div ref={place} />;
}

const look = EditorView.theme({
  "&": {
    maxHeight: "420px",
    border: "1px solid var(--line)",
    borderRadius: "var(--radius)",
    color: "var(--text)",
    backgroundColor: "var(--surface)",
    fontSize: "13px",
  },
  "&.cm-focused": { outline: "2px solid var(--accent)" },
  ".cm-scroller": { overflow: "auto" },
  ".cm-content": { fontFamily: "var(--mono)", padding: "8px 0" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", border: "none" },
});
