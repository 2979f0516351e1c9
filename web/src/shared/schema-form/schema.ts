/** A form's schema (JSON Schema 2020-12, an object of properties), a cell type's or a connection's, as the controls that show it. Pure. */

export interface FormField {
  name: string;
  title: string;
  hint: string;
  kind: "text" | "number" | "flag" | "choice" | "json";
  whole: boolean;
  options: readonly string[];
  required: boolean;
  initial: unknown;
}

type Schema = Record<string, unknown>;

export function fieldsOf(schemaJson: string): FormField[] {
  const schema = readFields(schemaJson);
  const required = Array.isArray(schema.required) ? schema.required : [];
  const properties = objectOf(schema.properties);
  return Object.entries(properties).map(([name, property]) =>
    fieldOf(name, objectOf(property), required.includes(name)),
  );
}

/** Whether there is anything that may be left out. */
export function hasOptions(schemaJson: string): boolean {
  return fieldsOf(schemaJson).some((field) => !field.required);
}

export function readFields(json: string): Schema {
  if (!json) return {};
  try {
    return objectOf(JSON.parse(json));
  } catch {
    // Not an object of fields: the form starts empty.
    return {};
  }
}

/** undefined takes the field away. */
export function writeField(fieldsJson: string, name: string, value: unknown): string {
  const { [name]: _before, ...others } = readFields(fieldsJson);
  const fields = value === undefined ? others : { ...others, [name]: value };
  return Object.keys(fields).length === 0 ? "" : JSON.stringify(fields);
}

function fieldOf(name: string, property: Schema, required: boolean): FormField {
  const options = Array.isArray(property.enum) ? property.enum.filter((option) => typeof option === "string") : [];
  return {
    name,
    title: typeof property.title === "string" ? property.title : name.replaceAll("_", " "),
    hint: typeof property.description === "string" ? property.description : "",
    kind: kindOf(typeOf(property), options),
    whole: typeOf(property) === "integer",
    options,
    required,
    initial: property.default,
  };
}

function typeOf(property: Schema): string {
  const { type } = property;
  if (Array.isArray(type)) return String(type.find((candidate) => candidate !== "null") ?? "");
  return typeof type === "string" ? type : "";
}

function kindOf(type: string, options: readonly string[]): FormField["kind"] {
  if (options.length > 0) return "choice";
  switch (type) {
    case "boolean":
      return "flag";
    case "integer":
    case "number":
      return "number";
    case "string":
      return "text";
    default:
      return "json";
  }
}

function objectOf(value: unknown): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}
