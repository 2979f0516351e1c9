import { type KeyboardEvent, useId, useRef, useState } from "react";
import { Field } from "./field";

export interface Suggestion {
  label: string;
  detail: string;
  /** The whole text with it, and where the cursor stands then. */
  text: string;
  cursor: number;
}

export type Suggest = (text: string, cursor: number) => readonly Suggestion[];

interface Props {
  label: string;
  hint?: string;
  error?: string | undefined;
  value: string;
  suggest: Suggest;
  onChange: (value: string) => void;
}

/** A text field that offers how to go on: the combobox of the ARIA practices, whose list opens by itself. */
export function SuggestingField({ label, hint, error, value, suggest, onChange }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const [offers, setOffers] = useState<readonly Suggestion[]>([]);
  const [active, setActive] = useState(0);
  const listId = useId();
  const show = (found: readonly Suggestion[]): void => {
    setOffers(found);
    setActive(0);
  };
  const take = (offer: Suggestion): void => {
    onChange(offer.text);
    // The value comes back with the next drawing; the cursor has to wait for it.
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(offer.cursor, offer.cursor);
    });
    show(suggest(offer.text, offer.cursor));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const chosen = offers[active];
    if (!chosen) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) setActive((active + step + offers.length) % offers.length);
    else if (event.key === "Enter" || event.key === "Tab") take(chosen);
    else if (event.key === "Escape") show([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <Field label={label} hint={hint} error={error}>
      {(control) => (
        <div className="suggesting">
          <input
            ref={input}
            className="input"
            {...control}
            role="combobox"
            aria-autocomplete="list"
            aria-expanded={offers.length > 0}
            aria-controls={listId}
            {...(offers.length > 0 ? { "aria-activedescendant": `${listId}-${active}` } : {})}
            autoComplete="off"
            value={value}
            onKeyDown={onKeyDown}
            onBlur={() => {
              show([]);
            }}
            onChange={({ target }) => {
              onChange(target.value);
              show(suggest(target.value, target.selectionStart ?? target.value.length));
            }}
          />
          <Offers {...{ listId, label, offers, active }} onTake={take} />
        </div>
      )}
    </Field>
  );
}

interface OffersProps {
  listId: string;
  label: string;
  offers: readonly Suggestion[];
  active: number;
  onTake: (offer: Suggestion) => void;
}

function Offers({ listId, label, offers, active, onTake }: OffersProps) {
  return (
    <ul className="suggesting__list" role="listbox" id={listId} aria-label={label} hidden={offers.length === 0}>
      {offers.map((offer, i) => (
        <li
          key={offer.label}
          id={`${listId}-${i}`}
          role="option"
          className="suggesting__offer"
          aria-selected={i === active}
          // The field keeps the focus.
          onPointerDown={(event) => {
            event.preventDefault();
            onTake(offer);
          }}
        >
          <span>{offer.label}</span>
          <span className="suggesting__detail">{offer.detail}</span>
        </li>
      ))}
    </ul>
  );
}
