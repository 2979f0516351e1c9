import { useQuery } from "@tanstack/react-query";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { useClient } from "../../../shared/api/context";

export function useCurrentUser() {
  const client = useClient(SignInService);
  return useQuery({
    queryKey: ["me"],
    queryFn: async () => (await client.getCurrentUser({})).user,
    staleTime: 5 * 60_000,
  });
}
