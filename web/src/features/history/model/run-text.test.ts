import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { OperationCountSchema } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { secretsRead } from "./run-text";

test("readings of secrets' values add up over connections, and other uses do not count", () => {
  const counted = (operation: string, count: bigint) => create(OperationCountSchema, { operation, count });
  const operations = [counted("secret.read", 2n), counted("rest.request", 5n), counted("secret.read", 1n)];
  expect(secretsRead({ operations })).toBe(3n);
  expect(secretsRead({ operations: [] })).toBe(0n);
});
