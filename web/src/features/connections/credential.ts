/** What a person types of a credential, as the service takes it. Pure. */

export function credentialJson(field: string, secret: string): string {
  if (secret === "") return "{}";
  if (secret.trimStart().startsWith("{") && jsonFault(secret) === "") return secret;
  return JSON.stringify({ [field.trim() || "token"]: secret });
}

export function jsonFault(text: string): string {
  if (text.trim() === "") return "";
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? "" : "Give a JSON object.";
  } catch {
    return "This is not JSON.";
  }
}

export function words(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .map((word) => word.trim())
    .filter(Boolean);
}
