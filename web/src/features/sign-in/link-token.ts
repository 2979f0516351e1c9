/**
 * The token of a one-time link stands in the address's fragment, which no server sees. It is taken out of the address bar before
 * anything else happens, so that it is in no history, no bookmark and no screenshot.
 */
export function takeLinkToken(
  place: Pick<Location, "hash" | "pathname" | "search">,
  history: Pick<History, "replaceState">,
): string {
  const token = new URLSearchParams(place.hash.slice(1)).get("token") ?? "";
  if (place.hash) history.replaceState(null, "", place.pathname + place.search);
  return token;
}
