/** A connection as its form holds it, and which of the service's complaints belongs to which of the form's fields. Pure. */
import type { Connection, ConnectionKind } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import type { Problem } from "../../../shared/api/problem";

export interface ConnectionForm {
  name: string;
  kind: string;
  configJson: string;
  credentialJson: string;
  /** As typed: names separated by commas or spaces. */
  hosts: string;
  operations: readonly string[];
  isDefault: boolean;
}

export function newForm(kinds: readonly ConnectionKind[]): ConnectionForm {
  const [first] = kinds;
  const operations = first?.operations ?? [];
  return {
    name: "",
    kind: first?.name ?? "",
    configJson: "",
    credentialJson: "",
    hosts: "",
    operations,
    isDefault: false,
  };
}

export function formOf(connection: Connection): ConnectionForm {
  return {
    name: connection.name,
    kind: connection.kind,
    configJson: connection.configJson,
    credentialJson: "",
    hosts: connection.allowedHosts.join(", "),
    operations: connection.allowedOperations,
    isDefault: connection.isDefault,
  };
}

/** Another kind has other fields and operations. */
export function withKind(form: ConnectionForm, kind: ConnectionKind): ConnectionForm {
  return { ...form, kind: kind.name, configJson: "", credentialJson: "", operations: kind.operations };
}

/** The host of the configured address, for who has not named any host: "https://api.internal:8443/v1" gives "api.internal:8443". */
export function hostOf(configJson: string): string {
  const addresses = /"(https?:\/\/[^"\s]+)"/.exec(configJson);
  return addresses?.[1] && URL.canParse(addresses[1]) ? new URL(addresses[1]).host : "";
}

export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** What the service said of a field: "config_json.base_url", "allowed_hosts[1]". */
export function faultOf(problem: Problem | undefined, field: string): string | undefined {
  return problem?.violations.find((violation) => violation.field.replace(/\[\d+\]$/, "") === field)?.description;
}
