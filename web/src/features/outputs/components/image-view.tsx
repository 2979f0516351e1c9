interface Props {
  mime: string;
  /** Base64, or the text of an SVG. */
  value: string;
  size: Record<string, unknown>;
  alt: string;
}

/** As an image, an SVG can run nothing and load nothing. */
export function ImageView({ mime, value, size, alt }: Props) {
  const source =
    mime === "image/svg+xml"
      ? `data:image/svg+xml;charset=utf-8,${encodeURIComponent(value)}`
      : `data:${mime};base64,${value.replace(/\s/g, "")}`;
  return (
    <img
      className="display__image"
      src={source}
      alt={alt || "Output image"}
      width={typeof size.width === "number" ? size.width : undefined}
      height={typeof size.height === "number" ? size.height : undefined}
    />
  );
}
