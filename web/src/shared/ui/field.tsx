import { type ComponentProps, type ReactNode, useId } from "react";

interface FieldProps {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  children: (control: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => ReactNode;
}

/** A label, what it is for, a hint or an error, tied together for screen readers. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const noteId = `${id}-note`;
  const hasNote = Boolean(error) || Boolean(hint);
  return (
    <div className="field">
      <label className="field__label" htmlFor={id}>
        {label}
      </label>
      {children({ id, ...(hasNote ? { "aria-describedby": noteId } : {}), ...(error ? { "aria-invalid": true } : {}) })}
      {hasNote && (
        <span id={noteId} className={error ? "field__error" : "field__hint"}>
          {error ?? hint}
        </span>
      )}
    </div>
  );
}

type TextFieldProps = Omit<ComponentProps<"input">, "onChange"> &
  Pick<FieldProps, "label" | "hint" | "error"> & { onChange: (value: string) => void };

export function TextField({ label, hint, error, onChange, ...rest }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(control) => (
        <input
          className="input"
          {...control}
          {...rest}
          onChange={(event) => {
            onChange(event.target.value);
          }}
        />
      )}
    </Field>
  );
}

interface SelectFieldProps extends Pick<FieldProps, "label" | "hint" | "error"> {
  value: string;
  options: readonly { value: string; label: string }[];
  onChange: (value: string) => void;
  disabled?: boolean;
}

export function SelectField({ label, hint, error, value, options, onChange, disabled = false }: SelectFieldProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(control) => (
        <select
          className="input"
          {...control}
          value={value}
          disabled={disabled}
          onChange={(event) => {
            onChange(event.target.value);
          }}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
