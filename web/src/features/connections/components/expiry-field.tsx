import { TextField } from "../../../shared/ui";

interface Props {
  value: string;
  error: string | undefined;
  onChange: (day: string) => void;
}

export function ExpiryField({ value, error, onChange }: Props) {
  return (
    <TextField
      label="The credential expires on"
      hint="The workspace’s log says so two weeks before. Empty: it does not expire."
      type="date"
      error={error}
      value={value}
      onChange={onChange}
    />
  );
}
