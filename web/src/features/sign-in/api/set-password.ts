import { useMutation, useQueryClient } from "@tanstack/react-query";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { useClient } from "../../../shared/api/context";

export function useSetPassword() {
  const client = useClient(SignInService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (passwords: { oldPassword: string; newPassword: string }) => client.setPassword(passwords),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["me"] }),
  });
}
