import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { Button } from "./button";

export interface MenuItem {
  label: string;
  /** The key that does the same. */
  keys?: string;
  disabled?: boolean;
  /** Why it may not be chosen, where it may not. */
  whyNot?: string | undefined;
  act: () => void;
}

interface Props {
  label: string;
  /** What the button shows, and a screen reader says after the label; without it, three dots that are not said. */
  children?: ReactNode;
  items: readonly MenuItem[];
  align?: "start" | "end";
  small?: boolean;
}

/** A button that opens a list of actions; arrows, Home, End and Escape work in it. */
export function Menu({ label, children, items, align = "end", small = false }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    root.current?.querySelector<HTMLElement>("[role=menuitem]:not(:disabled)")?.focus();
    const outside = (event: PointerEvent): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
    };
  }, [open]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const entries = [...(root.current?.querySelectorAll<HTMLElement>("[role=menuitem]:not(:disabled)") ?? [])];
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
    if (event.key === "Escape") {
      setOpen(false);
      root.current?.querySelector("button")?.focus();
    } else if (target !== undefined) {
      entries[(target + entries.length) % entries.length]?.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="menu" ref={root} onKeyDown={open ? onKeyDown : undefined}>
      <Button
        look="quiet"
        small={small}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => {
          setOpen(!open);
        }}
      >
        {children === undefined ? (
          <>
            <span className="visually-hidden">{label}</span>
            <span aria-hidden="true">⋯</span>
          </>
        ) : (
          <>
            <span className="visually-hidden">{label}: </span>
            {children}
            <span aria-hidden="true">▾</span>
          </>
        )}
      </Button>
      {open && (
        <div className={`menu__list ${align === "start" ? "menu__list--start" : ""}`} role="menu" aria-label={label}>
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              className="menu__item"
              disabled={item.disabled === true || item.whyNot !== undefined}
              {...(item.whyNot === undefined ? {} : { title: item.whyNot })}
              onClick={() => {
                setOpen(false);
                item.act();
              }}
            >
              <span>{item.label}</span>
              {item.keys && <span className="menu__keys">{item.keys}</span>}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
