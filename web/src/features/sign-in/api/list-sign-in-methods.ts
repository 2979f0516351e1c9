import { useQuery } from "@tanstack/react-query";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { useClient } from "../../../shared/api/context";

export function useSignInMethods() {
  const client = useClient(SignInService);
  return useQuery({ queryKey: ["sign-in-methods"], queryFn: () => client.listSignInMethods({}) });
}
