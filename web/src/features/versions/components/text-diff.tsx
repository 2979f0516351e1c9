import { unifiedMergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";

interface Props {
  label: string;
  before: string;
  now: string;
}

/** Two texts in one column: what went, struck, above what came. Without a difference it is the text. */
export function TextDiff({ label, before, now }: Props) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!place.current) return undefined;
    const compared =
      before === now
        ? []
        : [unifiedMergeView({ original: before, mergeControls: false, gutter: true, collapseUnchanged: {} })];
    const view = new EditorView({
      parent: place.current,
      state: EditorState.create({
        doc: now,
        extensions: [
          lineNumbers(),
          EditorView.lineWrapping,
          EditorState.readOnly.of(true),
          EditorView.contentAttributes.of({ "aria-label": label, "aria-readonly": "true" }),
          look,
          ...compared,
        ],
      }),
    });
    return () => {
      view.destroy();
    };
  }, [label, before, now]);
  return <div className="versions__text" ref={place} />;
}

const look = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "transparent", fontSize: "13px" },
  ".cm-content": { fontFamily: "var(--mono)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", border: "none" },
  "&.cm-merge-b .cm-changedLine, .cm-insertedLine": { backgroundColor: "var(--ok-soft)" },
  "&.cm-merge-b .cm-changedText": { background: "color-mix(in srgb, var(--ok) 22%, transparent)" },
  ".cm-deletedChunk": { backgroundColor: "var(--bad-soft)", color: "var(--text)" },
  ".cm-deletedChunk .cm-deletedText, .cm-deletedLine del": {
    background: "color-mix(in srgb, var(--bad) 22%, transparent)",
  },
  ".cm-collapsedLines": { background: "var(--sunken)", color: "var(--muted)" },
});
