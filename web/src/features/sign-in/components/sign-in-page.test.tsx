import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, test, vi } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb";
import { SignInService, TokensSchema } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { checkedAnswer } from "../api/finish-oidc-sign-in";
import { takeLinkToken } from "../link-token";
import { SignInPage } from "./sign-in-page";

const tokens = create(TokensSchema, {
  accessToken: "a",
  refreshToken: "r",
  accessExpiresAtMs: BigInt(Date.now() + 600_000),
});

function refused(reason: string): ConnectError {
  const error = new ConnectError("The sign-in link was used.", Code.Unauthenticated);
  error.details = [{ desc: ErrorInfoSchema, value: { domain: "spin", reason } }];
  return error;
}

describe("signing in", () => {
  test("a link's token leaves the address bar before it is used", () => {
    const replaceState = vi.fn();
    const token = takeLinkToken({ hash: "#token=abc", pathname: "/sign-in", search: "" }, { replaceState });
    expect(token).toBe("abc");
    expect(replaceState).toHaveBeenCalledWith(null, "", "/sign-in");
  });

  test("a provider's answer to another tab is refused", () => {
    const answer = new URLSearchParams({ state: "theirs", code: "c" });
    expect(() => checkedAnswer(answer, "mine")).toThrow("not started in this tab");
    expect(() => checkedAnswer(answer, "")).toThrow("not started in this tab");
    expect(checkedAnswer(answer, "theirs")).toEqual({ state: "theirs", code: "c", issuer: "" });
  });

  test("a refusal of the provider is said", () => {
    expect(() => checkedAnswer(new URLSearchParams({ error: "access_denied" }), "s")).toThrow("access_denied");
  });
});

test("e-mail and password sign in", async () => {
  const asked = vi.fn(() => ({ tokens }));
  const transport = memoryTransport((router) => {
    router.service(SignInService, { listSignInMethods: () => ({ password: true }), signInWithPassword: asked });
  });
  const { tokens: keeper } = renderPage(<SignInPage />, transport);
  await userEvent.type(await screen.findByLabelText("E-mail"), "ada@example.com");
  await userEvent.type(screen.getByLabelText("Password"), "correct horse battery");
  await userEvent.click(screen.getByRole("button", { name: "Sign in" }));
  await waitFor(() => {
    expect(keeper.signedIn).toBe(true);
  });
  expect(asked).toHaveBeenCalledOnce();
});

test("a wrong password says so and how to go on", async () => {
  const transport = memoryTransport((router) => {
    router.service(SignInService, {
      listSignInMethods: () => ({ password: true }),
      signInWithPassword: () => {
        throw refused("ERROR_REASON_SIGN_IN_LINK_INVALID");
      },
    });
  });
  renderPage(<SignInPage />, transport);
  await userEvent.type(await screen.findByLabelText("E-mail"), "ada@example.com");
  await userEvent.type(screen.getByLabelText("Password"), "wrong");
  await userEvent.click(screen.getByRole("button", { name: "Sign in" }));
  expect((await screen.findByRole("alert")).textContent).toContain("The sign-in link was used.");
});
