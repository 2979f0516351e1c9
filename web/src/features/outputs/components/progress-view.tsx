import { textOf } from "../model/items";

/** application/vnd.spin.progress.v1+json: {fraction, text}; a bar without a fraction is under way with no end known. */
export function ProgressView({ progress }: { progress: Record<string, unknown> }) {
  const fraction = typeof progress.fraction === "number" ? Math.min(1, Math.max(0, progress.fraction)) : undefined;
  const text = textOf(progress.text);
  return (
    <div className="progress">
      <progress
        className="progress__bar"
        aria-label={text || "Progress"}
        {...(fraction === undefined ? {} : { value: fraction })}
      />
      <span className="progress__text">
        {fraction !== undefined && `${Math.round(fraction * 100)} %`} {text}
      </span>
    </div>
  );
}
