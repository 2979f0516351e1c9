import { create } from "@bufbuild/protobuf";
import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import {
  type CreateRuntimeRequest,
  RuntimeSchema,
  RuntimeService,
} from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { ReplaceRuntime } from "./replace-runtime";

const LOST = create(RuntimeSchema, {
  id: "1".repeat(32),
  name: "Production",
  url: "https://runtime.example.org:8888",
  labels: { zone: "west" },
  isDefault: true,
  etag: "r3",
});

test("the successor has the name, the address, the labels and the place as the default", async () => {
  const calls: string[] = [];
  let asked: CreateRuntimeRequest | undefined;
  const transport = memoryTransport((router) => {
    router.service(RuntimeService, {
      deleteRuntime: (request) => {
        calls.push(`delete ${request.runtimeId} ${request.etag}`);
        return {};
      },
      createRuntime: (request) => {
        calls.push("create");
        asked = request;
        return { runtime: { ...LOST, id: "2".repeat(32) } };
      },
    });
  });
  let successor = "";
  renderPage(
    <ReplaceRuntime
      workspaceId={"a".repeat(32)}
      runtime={LOST}
      onClose={() => undefined}
      onReplaced={(made) => {
        successor = made.id;
      }}
    />,
    transport,
  );
  await userEvent.click(screen.getByRole("button", { name: "Replace" }));
  await waitFor(() => {
    expect(successor).toBe("2".repeat(32));
  });
  expect(calls).toEqual([`delete ${LOST.id} r3`, "create"]);
  expect(asked).toMatchObject({ name: LOST.name, url: LOST.url, labels: LOST.labels, isDefault: true });
});
