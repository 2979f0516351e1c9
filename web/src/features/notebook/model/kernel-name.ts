/** The kernel that the notebook asks for (nbformat's kernelspec); empty: the runtime's default. */
export function kernelNameOf(metadataJson: string): string {
  if (!metadataJson) return "";
  try {
    const metadata = JSON.parse(metadataJson) as { kernelspec?: { name?: unknown } } | null;
    const name = metadata?.kernelspec?.name;
    return typeof name === "string" ? name : "";
  } catch {
    // Metadata that is no JSON asks for nothing.
    return "";
  }
}
