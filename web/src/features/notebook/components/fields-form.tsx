import { useMemo, useState } from "react";
import { SchemaControl, fieldsOf, readFields, writeField } from "../../../shared/schema-form";
import { type TemplateNames, suggestionsFor } from "../model/templates";

interface Props {
  /** JSON Schema of the cell type's fields. */
  schemaJson: string;
  fieldsJson: string;
  /** Optional fields without a value are shown as well. */
  all: boolean;
  /** What templates may name; undefined where they are text. */
  templates: (() => TemplateNames) | undefined;
  onChange: (fieldsJson: string) => void;
}

/** The form of a cell type, drawn from its schema. What is optional and has no value shows when it is asked for. */
export function FieldsForm({ schemaJson, fieldsJson, all, templates, onChange }: Props) {
  const fields = useMemo(() => fieldsOf(schemaJson), [schemaJson]);
  const values = useMemo(() => readFields(fieldsJson), [fieldsJson]);
  // What stood here when the cell was opened stays, so that no field goes away while it is emptied.
  const [first] = useState(() => new Set(Object.keys(values)));
  const shown = fields.filter((field) => all || field.required || first.has(field.name) || field.name in values);
  if (shown.length === 0) return null;
  return (
    <div className="fields">
      {shown.map((field) => (
        <SchemaControl
          key={field.name}
          field={field}
          value={values[field.name]}
          suggest={templates && ((text, cursor) => suggestionsFor(text, cursor, templates()))}
          onChange={(value) => {
            onChange(writeField(fieldsJson, field.name, value));
          }}
        />
      ))}
    </div>
  );
}
