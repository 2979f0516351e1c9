import { useMutation } from "@tanstack/react-query";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { useClient } from "../../../shared/api/context";

/** The state that the provider must send back; it lives in this tab alone. */
const STATE = "spin.oidc-state";

export const OIDC_PATH = "/sign-in/callback";

export function useStartOidcSignIn() {
  const client = useClient(SignInService);
  return useMutation({
    mutationFn: async (providerId: string) => {
      const redirectUri = window.location.origin + OIDC_PATH;
      const { authorizationUrl, state } = await client.startOidcSignIn({ providerId, redirectUri });
      sessionStorage.setItem(STATE, state);
      window.location.assign(authorizationUrl);
    },
  });
}

export function takeOidcState(): string {
  const state = sessionStorage.getItem(STATE) ?? "";
  sessionStorage.removeItem(STATE);
  return state;
}
