import { useMutation } from "@tanstack/react-query";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { useApi, useClient } from "../../../shared/api/context";
import { tokenPair } from "../../../shared/api/transport";

export function useSignInWithPassword() {
  const client = useClient(SignInService);
  const { tokens } = useApi();
  return useMutation({
    mutationFn: async (credentials: { email: string; password: string }) => {
      const answer = await client.signInWithPassword(credentials);
      await tokens.accept(tokenPair(answer.tokens));
    },
  });
}
