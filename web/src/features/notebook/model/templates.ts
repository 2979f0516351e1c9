/**
 * What a cell's templates may name: variables of the notebook, secrets that the person may use, variables of the runtime's environment. Pure.
 *
 * The control plane does not know a runtime's environment: of that, the names are offered that the notebook has already.
 */
import type { Cell } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { readFields } from "../../../shared/schema-form";
import type { Suggestion } from "../../../shared/ui";

export interface TemplateNames {
  readonly variables: readonly string[];
  readonly secrets: readonly string[];
  readonly environment: readonly string[];
}

export const NO_NAMES: TemplateNames = { variables: [], secrets: [], environment: [] };

export interface Offer {
  /** All of it: "{{secret:salt}}". */
  readonly label: string;
  readonly detail: string;
  /** More is to be typed before the closing braces. */
  readonly open: boolean;
}

const ASSIGNED = /^((?:[A-Za-z]\w*[ \t]*,[ \t]*)*[A-Za-z]\w*)[ \t]*(?::[^=\n]+)?=(?!=)/gm;
const ENVIRONMENT = /\{\{[ \t]*runtime_env[ \t]*:[ \t]*([A-Za-z_]\w*)[ \t]*\}\}/g;
const BEGUN = /(?<!\\)\{\{[ \t]*((?:(?:secret|secret_var|runtime_env)[ \t]*:)?[^{}\n]*)$/;
const IDENTIFIER = /^[A-Za-z_]\w*$/;
/** Their text is shown or kept, never filled in. */
const PLAIN = new Set(["markdown", "raw", "code", "form", "connection_test"]);

export function takesTemplates(cellType: string): boolean {
  return !PLAIN.has(cellType);
}

export function namesIn(cells: readonly Cell[], secrets: readonly string[]): TemplateNames {
  const texts = cells.flatMap(({ source, fieldsJson }) => [source, fieldsJson]);
  const environment = texts.flatMap((text) => [...text.matchAll(ENVIRONMENT)].map(([, name = ""]) => name));
  return { variables: sorted(cells.flatMap(variablesOf)), secrets, environment: sorted(environment) };
}

/** What stands before the cursor of a template that is not closed yet: where its braces begin, and what follows them. */
export function begunIn(line: string): { from: number; text: string } | undefined {
  const found = BEGUN.exec(line);
  return found ? { from: found.index, text: found[1] ?? "" } : undefined;
}

export function offersFor(text: string, { variables, secrets, environment }: TemplateNames): Offer[] {
  const [kind, argument] = text.split(":", 2);
  if (argument !== undefined) {
    switch (kind?.trim()) {
      case "secret":
        return secrets.flatMap(secretOffer);
      case "secret_var":
        return variables.map((name) => whole(`secret_var:${name}`, "secret named by the variable"));
      case "runtime_env":
        return environment.map((name) => whole(`runtime_env:${name}`, "of the runtime’s environment"));
      default:
        return [];
    }
  }
  const more = [
    ...(secrets.length > 0 ? [begin("secret_var:", "secret named by a variable")] : []),
    begin("runtime_env:", "of the runtime’s environment"),
  ];
  return [...variables.map((name) => whole(name, "variable")), ...secrets.flatMap(secretOffer), ...more];
}

/** For a field of one line: what it may go on with at the cursor. */
export function suggestionsFor(text: string, cursor: number, names: TemplateNames): Suggestion[] {
  const begun = begunIn(text.slice(0, cursor));
  if (!begun) return [];
  const wanted = begun.text.replaceAll(/[ \t]/g, "").toLowerCase();
  const behind = /^\}{0,2}/.exec(text.slice(cursor))?.[0].length ?? 0;
  return offersFor(begun.text, names)
    .filter(({ label }) => label.toLowerCase().includes(wanted))
    .map(({ label, detail, open }) => {
      const insert = inserted(label, open);
      const end = begun.from + insert.length - (open ? 2 : 0);
      return { label, detail, text: text.slice(0, begun.from) + insert + text.slice(cursor + behind), cursor: end };
    });
}

/** What stands there for an offer: an open one ends before its closing braces. */
export function inserted(label: string, open: boolean): string {
  return open ? label.replace("…", "") : label;
}

function variablesOf({ cellType, source, fieldsJson }: Cell): string[] {
  const { variable, inputs } = readFields(fieldsJson);
  const declared = Array.isArray(inputs) ? inputs.map((input: { name?: unknown } | null) => input?.name) : [];
  const assigned =
    cellType === "python" ? [...source.matchAll(ASSIGNED)].flatMap(([, names = ""]) => names.split(",")) : [];
  return [variable, ...declared, ...assigned].flatMap((name) => (typeof name === "string" ? [name.trim()] : []));
}

/** A name that is no word stands in quotes; one with braces cannot be written. */
function secretOffer(name: string): Offer[] {
  if (IDENTIFIER.test(name)) return [whole(`secret:${name}`, "secret")];
  const quote = name.includes('"') ? "'" : '"';
  return /[{}\n]/.test(name) || name.includes(quote) ? [] : [whole(`secret:${quote}${name}${quote}`, "secret")];
}

function whole(inside: string, detail: string): Offer {
  return { label: `{{${inside}}}`, detail, open: false };
}

function begin(inside: string, detail: string): Offer {
  return { label: `{{${inside}…}}`, detail, open: true };
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names.filter((name) => IDENTIFIER.test(name)))].sort();
}
