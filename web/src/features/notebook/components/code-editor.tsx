import { EditorView } from "@codemirror/view";
import { useEffect, useEffectEvent, useRef } from "react";
import type { Mark } from "../model/marks";
import type { TemplateNames } from "../model/templates";
import {
  type EditorKeys,
  type Assistance,
  createEditor,
  setEditorLanguage,
  setEditorMarks,
  setEditorText,
} from "../model/code-mirror";

interface Props extends EditorKeys {
  label: string;
  language: string;
  text: string;
  focused: boolean;
  readOnly: boolean;
  assistance: Assistance | undefined;
  /** What templates may name; undefined where they are text. */
  templates: (() => TemplateNames) | undefined;
  /** Places that the compiler complained about. */
  marks: readonly Mark[];
  onChange: (text: string) => void;
  onFocus: () => void;
}

/** CodeMirror in React: the editor owns the text while it is typed in, and takes over what comes from elsewhere. */
export function CodeEditor({
  label,
  language,
  text,
  focused,
  readOnly,
  assistance,
  templates,
  marks,
  onChange,
  onFocus,
  ...keys
}: Props) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const change = useEffectEvent(onChange);
  const focus = useEffectEvent(onFocus);
  const press = useEffectEvent((name: keyof EditorKeys) => {
    keys[name]();
  });
  const help = useEffectEvent(() => assistance);
  const names = useEffectEvent(() => templates?.());
  const first = useEffectEvent(() => ({ label, text, language, readOnly }));

  useEffect(() => {
    if (!place.current) return undefined;
    const editor = createEditor({
      parent: place.current,
      ...first(),
      onChange: (next) => {
        change(next);
      },
      onFocus: () => {
        focus();
      },
      assistance: () => help(),
      templates: () => names(),
      keys: {
        onRun: () => {
          press("onRun");
        },
        onRunAndAdvance: () => {
          press("onRunAndAdvance");
        },
        onRunAndInsert: () => {
          press("onRunAndInsert");
        },
        onLeave: () => {
          press("onLeave");
        },
        onUp: () => {
          press("onUp");
        },
        onDown: () => {
          press("onDown");
        },
      },
    });
    view.current = editor;
    return () => {
      editor.destroy();
      view.current = null;
    };
  }, []);

  useEffect(() => {
    if (view.current) setEditorText(view.current, text);
  }, [text]);
  useEffect(() => {
    if (view.current) setEditorMarks(view.current, marks);
  }, [marks]);
  useEffect(() => {
    if (view.current) setEditorLanguage(view.current, language);
  }, [language]);
  useEffect(() => {
    if (focused && view.current && !view.current.hasFocus) view.current.focus();
  }, [focused]);
  return <div className="code" ref={place} />;
}
