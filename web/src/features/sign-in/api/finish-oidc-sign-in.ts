import { useMutation } from "@tanstack/react-query";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { useApi, useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";
import { tokenPair } from "../../../shared/api/transport";
import { takeOidcState } from "./start-oidc-sign-in";

export function useFinishOidcSignIn() {
  const client = useClient(SignInService);
  const { tokens } = useApi();
  return useMutation({
    mutationFn: async (answer: URLSearchParams) => {
      const signedIn = await client.finishOidcSignIn(checkedAnswer(answer, takeOidcState()));
      await tokens.accept(tokenPair(signedIn.tokens));
    },
  });
}

/** The provider's answer counts in the tab that asked alone: anything else may be someone else's sign-in. */
export function checkedAnswer(
  answer: URLSearchParams,
  expected: string,
): { state: string; code: string; issuer: string } {
  const refused = answer.get("error_description") ?? answer.get("error");
  if (refused) throw new Trouble(`The provider refused: ${refused}.`, "Start again.");
  const [state, code] = [answer.get("state") ?? "", answer.get("code") ?? ""];
  if (!expected || state !== expected || !code) {
    throw new Trouble("This sign-in was not started in this tab.", "Start again from the sign-in page.");
  }
  return { state, code, issuer: answer.get("iss") ?? "" };
}
