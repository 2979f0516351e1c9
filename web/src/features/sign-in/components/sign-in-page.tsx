import { useEffect, useState } from "react";
import { Button, Loading, Notice, ProblemNotice } from "../../../shared/ui";
import { useSignInMethods } from "../api/list-sign-in-methods";
import { useRedeemSignInLink } from "../api/redeem-sign-in-link";
import { useStartOidcSignIn } from "../api/start-oidc-sign-in";
import { takeLinkToken } from "../link-token";
import { PasswordForm } from "./password-form";
import "./sign-in.css";

/** Read once, when the page's code runs: a second render must not look for it again. */
const linkToken = takeLinkToken(window.location, window.history);

export function SignInPage() {
  const methods = useSignInMethods();
  const link = useRedeemSignInLink();
  const oidc = useStartOidcSignIn();
  const [token] = useState(linkToken);
  const { mutate: redeem } = link;
  useEffect(() => {
    if (token) redeem(token);
  }, [token, redeem]);

  if (token && (link.isPending || link.isIdle))
    return (
      <SignInFrame>
        <Loading what="your sign-in" />
      </SignInFrame>
    );
  const nothing = methods.data && !methods.data.password && methods.data.oidcProviders.length === 0;
  return (
    <SignInFrame>
      {link.isError && <ProblemNotice error={link.error} />}
      {methods.isPending && <Loading what="the ways to sign in" />}
      {methods.isError && <ProblemNotice error={methods.error} onRetry={() => void methods.refetch()} />}
      {oidc.isError && <ProblemNotice error={oidc.error} />}
      {methods.data?.oidcProviders.map((provider) => (
        <Button
          key={provider.id}
          busy={oidc.isPending}
          onClick={() => {
            oidc.mutate(provider.id);
          }}
        >
          Continue with {provider.displayName || provider.id}
        </Button>
      ))}
      {methods.data?.password && <PasswordForm />}
      {nothing && <Notice tone="plain" title="Open the sign-in link that you were given." />}
      <p className="sign-in__hint">
        First time here? Open the one-time link that this installation printed when it started, or have one made with{" "}
        <code>spin-service sign-in-link</code>.
      </p>
    </SignInFrame>
  );
}

export function SignInFrame({ children }: { children: React.ReactNode }) {
  return (
    <main className="sign-in">
      <div className="sign-in__card">
        <img src="/icon.svg" alt="" width="40" height="40" />
        <h1>Sign in to SPIN</h1>
        {children}
      </div>
    </main>
  );
}
