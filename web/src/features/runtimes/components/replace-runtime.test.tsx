import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { MemberRole, MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { RuntimeStatus } from "../../../gen/spinapis/envelope/v1/trust_pb";
import {
  type CreateRuntimeRequest,
  type Runtime,
  RuntimeSchema,
  RuntimeService,
} from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { RuntimesPage } from "./runtimes-page";

const LOST = create(RuntimeSchema, {
  id: "1".repeat(32),
  name: "Production",
  // Nothing listens there.
  url: "http://127.0.0.1:1",
  labels: { zone: "west" },
  isDefault: true,
  etag: "r3",
});
const IN_AN_HOUR = BigInt(Date.now() + 3_600_000);

class Platform {
  readonly calls: string[] = [];
  listed: Runtime[] = [LOST];
  asked: CreateRuntimeRequest | undefined;
  /** Whether it answers no more when the record is gone. */
  down = false;

  constructor(readonly trusted: boolean) {}

  transport() {
    return memoryTransport((router) => {
      router.service(MemberService, {
        listMembers: () => ({ members: [{ userId: "me", role: MemberRole.OWNER, etag: "1" }] }),
      });
      router.service(SignInService, { getCurrentUser: () => ({ user: { id: "me" } }) });
      router.service(EnrolmentService, {
        getRuntimeTrust: () => ({ status: RuntimeStatus.REVOKED, runsUntilMs: IN_AN_HOUR }),
        getTrustState: () => ({ trustState: Uint8Array.of(1) }),
        listRootDocuments: () => ({ rootDocuments: [Uint8Array.of(2)] }),
        revokeRuntime: ({ runtimeId }) => {
          this.calls.push(`revoke ${runtimeId}`);
          if (!this.trusted) throw new ConnectError("never paired", Code.NotFound);
          return {};
        },
      });
      router.service(RuntimeService, {
        listRuntimes: () => {
          if (this.down && this.listed.length === 0) throw new ConnectError("down", Code.Unavailable);
          return { runtimes: this.listed };
        },
        deleteRuntime: ({ runtimeId, etag }) => {
          this.calls.push(`delete ${runtimeId} ${etag}`);
          this.listed = [];
          return {};
        },
        createRuntime: (request) => {
          this.calls.push(`create ${request.idempotencyKey === this.asked?.idempotencyKey ? "again" : "anew"}`);
          this.asked = request;
          if (this.down) throw new ConnectError("down", Code.Unavailable);
          const runtime = create(RuntimeSchema, { ...LOST, id: "2".repeat(32) });
          this.listed = [runtime];
          return { runtime };
        },
      });
    });
  }
}

async function replace(platform: Platform): Promise<void> {
  renderPage(<RuntimesPage workspaceId={"a".repeat(32)} />, platform.transport());
  await userEvent.click(await screen.findByRole("button", { name: "Actions for Production" }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Replace…" }));
  await userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Replace" }));
}

test("the one of now loses its trust, and its successor has its name, address, labels and place, and is paired next", async () => {
  const platform = new Platform(true);
  await replace(platform);
  expect(await screen.findByText(/“Production” was replaced/)).toBeTruthy();
  expect(screen.getByText(/It could not be told at http:\/\/127.0.0.1:1/)).toBeTruthy();
  expect(screen.getByRole("dialog", { name: "Start “Production”" })).toBeTruthy();
  expect(platform.calls).toEqual([`revoke ${LOST.id}`, `delete ${LOST.id} r3`, "create anew"]);
  expect(platform.asked).toMatchObject({ name: LOST.name, url: LOST.url, labels: LOST.labels, isDefault: true });
});

test("one that was never paired has nothing to be told", async () => {
  const platform = new Platform(false);
  await replace(platform);
  expect(await screen.findByText(/“Production” was replaced/)).toBeTruthy();
  expect(screen.queryByText(/told/)).toBeNull();
  expect(platform.calls).toEqual([`revoke ${LOST.id}`, `delete ${LOST.id} r3`, "create anew"]);
});

test("whose successor could not be made is told of by the page, which makes it again from what it was", async () => {
  const platform = new Platform(true);
  platform.down = true;
  await replace(platform);
  const again = () => screen.findByRole("button", { name: "Make the record again" });
  expect(await screen.findByText("“Production” was removed, and its new record was not made")).toBeTruthy();
  expect(screen.getAllByText(/SPIN does not answer\./)).not.toHaveLength(0);
  expect(screen.getByText(/Production, http:\/\/127.0.0.1:1, zone: west/)).toBeTruthy();
  await userEvent.click(await again());
  platform.down = false;
  await userEvent.click(await again());
  expect(await screen.findByText(/“Production” was replaced/)).toBeTruthy();
  expect(screen.getByRole("dialog", { name: "Start “Production”" })).toBeTruthy();
  expect(screen.queryByText(/its new record was not made/)).toBeNull();
  expect(platform.calls.slice(2)).toEqual(["create anew", "create again", "create again"]);
  expect(platform.asked).toMatchObject({ name: LOST.name, url: LOST.url, labels: LOST.labels, isDefault: true });
});
