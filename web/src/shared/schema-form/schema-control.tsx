import { Field, SelectField, type Suggest, SuggestingField, TextField } from "../ui";
import type { FormField } from "./schema";

interface ControlProps {
  field: FormField;
  value: unknown;
  /** What is wrong with the value, where somebody knows. */
  error?: string | undefined;
  /** A credential: typed unseen, and never offered to be remembered. */
  secret?: boolean;
  /** What a text may go on with, where somebody knows. */
  suggest?: Suggest | undefined;
  onChange: (value: unknown) => void;
}

/** The control that fits a field of a schema. */
export function SchemaControl({ field, value, error, secret = false, suggest, onChange }: ControlProps) {
  const label = field.required ? `${field.title} *` : field.title;
  const shown = value ?? field.initial;
  switch (field.kind) {
    case "flag":
      return (
        <label className="fields__flag">
          <input
            type="checkbox"
            checked={shown === true}
            onChange={(event) => {
              onChange(event.target.checked);
            }}
          />
          {label}
          {field.hint && <span className="field__hint">{field.hint}</span>}
        </label>
      );
    case "choice": {
      const options = field.options.map((option) => ({ value: option, label: option }));
      const none = field.required ? [] : [{ value: "", label: "–" }];
      return (
        <SelectField
          label={label}
          hint={field.hint}
          error={error}
          value={typeof shown === "string" ? shown : ""}
          options={[...none, ...options]}
          onChange={(next) => {
            onChange(next || undefined);
          }}
        />
      );
    }
    case "number":
      return (
        <TextField
          label={label}
          hint={field.hint}
          error={error}
          type="number"
          step={field.whole ? 1 : "any"}
          value={typeof shown === "number" ? String(shown) : ""}
          onChange={(next) => {
            onChange(next === "" ? undefined : Number(next));
          }}
        />
      );
    case "text":
      return suggest ? (
        <SuggestingField
          label={label}
          hint={field.hint}
          error={error}
          value={typeof shown === "string" ? shown : ""}
          suggest={suggest}
          onChange={(next) => {
            onChange(next === "" ? undefined : next);
          }}
        />
      ) : (
        <TextField
          label={label}
          hint={field.hint}
          error={error}
          {...(secret ? { type: "password", autoComplete: "off" } : {})}
          value={typeof shown === "string" ? shown : ""}
          onChange={(next) => {
            onChange(next === "" ? undefined : next);
          }}
        />
      );
    case "json":
      return <JsonControl label={label} hint={field.hint} error={error} value={shown} onChange={onChange} />;
  }
}

/** Lists and objects are written as JSON; what is not JSON yet is kept as a text until it is. */
function JsonControl({
  label,
  hint,
  error,
  value,
  onChange,
}: {
  label: string;
  hint: string;
  error: string | undefined;
  value: unknown;
  onChange: (value: unknown) => void;
}) {
  const text = value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  const fault = typeof value === "string" && value !== "" ? "This is not JSON yet." : error;
  return (
    <Field label={label} hint={hint} error={fault}>
      {(control) => (
        <input
          className="input fields__json"
          {...control}
          value={text}
          onChange={(event) => {
            onChange(parsedOr(event.target.value));
          }}
        />
      )}
    </Field>
  );
}

function parsedOr(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? value : text;
  } catch {
    // Half typed: shown as an error until it parses.
    return text;
  }
}
