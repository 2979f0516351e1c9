import { useMemo, useState } from "react";
import { Field, SelectField, TextField } from "../../../shared/ui";
import { type FormField, fieldsOf, readFields, writeField } from "../model/form";

interface Props {
  /** JSON Schema of the cell type's fields. */
  schemaJson: string;
  fieldsJson: string;
  /** Optional fields without a value are shown as well. */
  all: boolean;
  onChange: (fieldsJson: string) => void;
}

/** The form of a cell type, drawn from its schema. What is optional and has no value shows when it is asked for. */
export function FieldsForm({ schemaJson, fieldsJson, all, onChange }: Props) {
  const fields = useMemo(() => fieldsOf(schemaJson), [schemaJson]);
  const values = useMemo(() => readFields(fieldsJson), [fieldsJson]);
  // What stood here when the cell was opened stays, so that no field goes away while it is emptied.
  const [first] = useState(() => new Set(Object.keys(values)));
  const shown = fields.filter((field) => all || field.required || first.has(field.name) || field.name in values);
  if (shown.length === 0) return null;
  return (
    <div className="fields">
      {shown.map((field) => (
        <FormControl
          key={field.name}
          field={field}
          value={values[field.name]}
          onChange={(value) => {
            onChange(writeField(fieldsJson, field.name, value));
          }}
        />
      ))}
    </div>
  );
}

interface ControlProps {
  field: FormField;
  value: unknown;
  onChange: (value: unknown) => void;
}

function FormControl({ field, value, onChange }: ControlProps) {
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
          type="number"
          step={field.whole ? 1 : "any"}
          value={typeof shown === "number" ? String(shown) : ""}
          onChange={(next) => {
            onChange(next === "" ? undefined : Number(next));
          }}
        />
      );
    case "text":
      return (
        <TextField
          label={label}
          hint={field.hint}
          value={typeof shown === "string" ? shown : ""}
          onChange={(next) => {
            onChange(next === "" ? undefined : next);
          }}
        />
      );
    case "json":
      return <JsonControl label={label} hint={field.hint} value={shown} onChange={onChange} />;
  }
}

/** Lists and objects are written as JSON; what is not JSON yet is kept as a text until it is. */
function JsonControl({
  label,
  hint,
  value,
  onChange,
}: {
  label: string;
  hint: string;
  value: unknown;
  onChange: (value: unknown) => void;
}) {
  const text = value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  const error = typeof value === "string" && value !== "" ? "This is not JSON yet." : undefined;
  return (
    <Field label={label} hint={hint} error={error}>
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
