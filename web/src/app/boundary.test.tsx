import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { SignInService } from "../gen/spinapis/auth/v1/sign_in_pb";
import { renderPage } from "../testing/render";
import { memoryTransport } from "../testing/transport";
import { Link, useLocation } from "wouter";
import { Shell } from "./shell";

function Page() {
  const [path] = useLocation();
  if (path === "/broken") throw new RangeError("no such number");
  return <p>All is well</p>;
}

test("a page that cannot be drawn says so, and the way to the others stays open", async () => {
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  const transport = memoryTransport((router) => {
    router.service(SignInService, { getCurrentUser: () => ({ user: { id: "me" } }) });
  });
  renderPage(
    <Shell navigation={<Link href="/other">Other</Link>}>
      <Page />
    </Shell>,
    transport,
    "/broken",
  );
  expect(await screen.findByText("This page could not be shown")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Reload" })).toBeTruthy();
  await userEvent.click(screen.getByRole("link", { name: "Other" }));
  expect(await screen.findByText("All is well")).toBeTruthy();
});
