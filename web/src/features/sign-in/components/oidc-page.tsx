import { useEffect, useState } from "react";
import { Link } from "wouter";
import { Loading, ProblemNotice } from "../../../shared/ui";
import { useFinishOidcSignIn } from "../api/finish-oidc-sign-in";
import { SignInFrame } from "./sign-in-page";

/** Where the provider sends the browser back to. The code is used once and leaves the address bar at once. */
export function OidcPage() {
  const finish = useFinishOidcSignIn();
  const [answer] = useState(() => new URLSearchParams(window.location.search));
  const { mutate } = finish;
  useEffect(() => {
    window.history.replaceState(null, "", window.location.pathname);
    mutate(answer);
  }, [answer, mutate]);
  return (
    <SignInFrame>
      {finish.isError ? <ProblemNotice error={finish.error} /> : <Loading what="your sign-in" />}
      {finish.isError && <Link href="/sign-in">Back to the sign-in page</Link>}
    </SignInFrame>
  );
}
