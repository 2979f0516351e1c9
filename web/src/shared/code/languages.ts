/** The language of a cell's source, by the name that its cell type gives. */
import { json } from "@codemirror/lang-json";
import { markdown } from "@codemirror/lang-markdown";
import { python } from "@codemirror/lang-python";
import { sql } from "@codemirror/lang-sql";
import { yaml } from "@codemirror/lang-yaml";
import { StreamLanguage } from "@codemirror/language";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import type { Extension } from "@codemirror/state";

export function languageOf(name: string): Extension {
  switch (name) {
    case "python":
    case "ipython":
      return python();
    case "markdown":
      return markdown();
    case "sql":
      return sql();
    case "shell":
    case "bash":
    case "sh":
      return StreamLanguage.define(shell);
    case "json":
      return json();
    case "yaml":
      return yaml();
    default:
      // Any other kernel's language is edited as plain text.
      return [];
  }
}
