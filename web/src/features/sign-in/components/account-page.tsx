import { useState } from "react";
import { Button, Loading, Notice, ProblemNotice, TextField } from "../../../shared/ui";
import { useCurrentUser } from "../api/get-current-user";
import { useSetPassword } from "../api/set-password";

export function AccountPage() {
  const user = useCurrentUser();
  if (user.isPending) return <Loading what="your account" />;
  if (user.isError) return <ProblemNotice error={user.error} onRetry={() => void user.refetch()} />;
  return (
    <div className="stack" style={{ maxWidth: 480 }}>
      <h1>Your account</h1>
      <p>
        {user.data?.displayName} <span className="list__detail">{user.data?.email}</span>
      </p>
      <PasswordPart hasPassword={user.data?.hasPassword ?? false} />
    </div>
  );
}

function PasswordPart({ hasPassword }: { hasPassword: boolean }) {
  const [oldPassword, setOldPassword] = useState("");
  const [newPassword, setNewPassword] = useState("");
  const set = useSetPassword();
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        set.mutate({ oldPassword, newPassword });
      }}
    >
      <h2>{hasPassword ? "Change your password" : "Set a password"}</h2>
      {!hasPassword && <p>You came in with a one-time link. With a password you can come back without another one.</p>}
      {hasPassword && (
        <TextField
          label="Present password"
          type="password"
          autoComplete="current-password"
          required
          value={oldPassword}
          onChange={setOldPassword}
        />
      )}
      <TextField
        label="New password"
        hint="At least 12 characters."
        type="password"
        autoComplete="new-password"
        minLength={12}
        required
        value={newPassword}
        onChange={setNewPassword}
      />
      {set.isError && <ProblemNotice error={set.error} />}
      {set.isSuccess && <Notice tone="ok" title="The password is set." />}
      <div className="row">
        <Button look="primary" type="submit" busy={set.isPending}>
          {hasPassword ? "Change it" : "Set it"}
        </Button>
      </div>
    </form>
  );
}
