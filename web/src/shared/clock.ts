/** Times of the protocol are Unix milliseconds as bigint; these are for people. */

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export function formatTime(ms: bigint | number): string {
  return Number(ms) === 0 ? "–" : dateTime.format(Number(ms));
}

export function formatAgo(ms: bigint | number, now: number): string {
  const seconds = Math.round((Number(ms) - now) / 1000);
  if (Math.abs(seconds) < 60) return relative.format(Math.min(0, seconds), "second");
  const minutes = Math.round(seconds / 60);
  if (Math.abs(minutes) < 60) return relative.format(minutes, "minute");
  const hours = Math.round(minutes / 60);
  if (Math.abs(hours) < 48) return relative.format(hours, "hour");
  return relative.format(Math.round(hours / 24), "day");
}

export function formatDuration(ms: number): string {
  if (ms < 0) return "";
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}
