import type { ComponentProps } from "react";

interface Props extends ComponentProps<"button"> {
  look?: "plain" | "primary" | "danger" | "quiet";
  small?: boolean;
  /** Something is under way: shown, and not to be started twice. */
  busy?: boolean;
  /** Why it may not be pressed, where it may not: said where the pointer rests, and to screen readers. */
  whyNot?: string | undefined;
}

export function Button({
  look = "plain",
  small = false,
  busy = false,
  whyNot,
  disabled,
  children,
  className,
  ...rest
}: Props) {
  const classes = ["button", `button--${look}`, small ? "button--small" : "", className ?? ""]
    .filter(Boolean)
    .join(" ");
  return (
    <button
      type="button"
      className={classes}
      disabled={disabled === true || busy || whyNot !== undefined}
      aria-busy={busy}
      {...(whyNot === undefined ? {} : { title: whyNot })}
      {...rest}
    >
      {busy && <span className="spinner" aria-hidden="true" />}
      {children}
    </button>
  );
}
