import { useMemo } from "react";
import { type Problem } from "../../../shared/api/problem";
import { SchemaControl, fieldsOf, readFields, writeField } from "../../../shared/schema-form";
import { faultOf } from "../model/connection-form";

interface Props {
  legend: string;
  /** How the service calls the object: config_json, credential_json. */
  path: string;
  schemaJson: string;
  valueJson: string;
  secret?: boolean;
  problem: Problem | undefined;
  onChange: (valueJson: string) => void;
}

/** The fields of a kind's configuration or credential, drawn from the schema that the service checks them by. */
export function SchemaFields({ legend, path, schemaJson, valueJson, secret = false, problem, onChange }: Props) {
  const fields = useMemo(() => fieldsOf(schemaJson), [schemaJson]);
  const values = readFields(valueJson);
  if (fields.length === 0) return null;
  return (
    <fieldset className="connection__part">
      <legend>{legend}</legend>
      {fields.map((field) => (
        <SchemaControl
          key={field.name}
          field={field}
          value={values[field.name]}
          error={faultOf(problem, `${path}.${field.name}`)}
          secret={secret}
          onChange={(value) => {
            onChange(writeField(valueJson, field.name, value));
          }}
        />
      ))}
    </fieldset>
  );
}
