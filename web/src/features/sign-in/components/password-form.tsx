import { useState } from "react";
import { Button, ProblemNotice, TextField } from "../../../shared/ui";
import { useSignInWithPassword } from "../api/sign-in-with-password";

export function PasswordForm() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useSignInWithPassword();
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        signIn.mutate({ email, password });
      }}
    >
      <TextField label="E-mail" type="email" autoComplete="username" required value={email} onChange={setEmail} />
      <TextField
        label="Password"
        type="password"
        autoComplete="current-password"
        required
        value={password}
        onChange={setPassword}
      />
      {signIn.isError && <ProblemNotice error={signIn.error} />}
      <Button look="primary" type="submit" busy={signIn.isPending}>
        Sign in
      </Button>
    </form>
  );
}
