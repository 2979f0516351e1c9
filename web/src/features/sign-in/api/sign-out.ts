import { useQueryClient } from "@tanstack/react-query";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { useApi, useClient } from "../../../shared/api/context";

/** Revokes the sign-in where the service answers, and forgets it here in any case. */
export function useSignOut(): () => Promise<void> {
  const client = useClient(SignInService);
  const { tokens } = useApi();
  const queries = useQueryClient();
  return async () => {
    const accessToken = await tokens.accessToken().catch(() => "");
    const refreshToken = await tokens.forget();
    queries.clear();
    await revoke(accessToken, refreshToken);
  };

  async function revoke(accessToken: string, refreshToken: string): Promise<void> {
    if (!accessToken || !refreshToken) return;
    // The token is given by hand: the keeper has forgotten it by now. A service that does not answer lets it expire by itself.
    const headers = { authorization: `Bearer ${accessToken}` };
    await client.signOut({ refreshToken }, { headers }).catch(() => undefined);
  }
}
