export { type FormField, fieldsOf, hasOptions, readFields, writeField } from "./schema";
export { SchemaControl } from "./schema-control";
