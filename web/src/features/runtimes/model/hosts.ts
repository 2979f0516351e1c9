/**
 * Host header values that browsers send for a URL: the scheme's own port is left out by them and may be given by others, and a machine
 * calls itself by several names.
 */
export function hostsOf(url: string): string[] {
  const { hostname, port, protocol } = new URL(url);
  const own = protocol === "https:" ? "443" : "80";
  const loopback = ["localhost", "127.0.0.1", "[::1]"];
  const names = loopback.includes(hostname) ? [hostname, ...loopback.filter((name) => name !== hostname)] : [hostname];
  return names.flatMap((name) => (port === "" ? [name, `${name}:${own}`] : [`${name}:${port}`]));
}

/** What is wrong with a runtime's address; empty when nothing is. */
export function urlFault(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return "Give an address such as https://runtime.internal:8888.";
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return "The address begins with http:// or https://.";
  if (url.pathname !== "/" || url.search || url.hash || url.username) return "Give the address without a path.";
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol === "http:" && !local && window.location.protocol === "https:") {
    return "A page over https cannot reach a runtime over http on another machine: give the runtime cert.pem and key.pem.";
  }
  return "";
}
