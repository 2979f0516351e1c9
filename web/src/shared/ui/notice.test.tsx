import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { ErrorReason } from "../../gen/spinapis/errors/v1/reasons_pb";
import { ProblemText } from "./notice";

function shown(text: string, ...violations: { field: string; description: string }[]): string {
  render(
    <ProblemText problem={{ reason: ErrorReason.INVALID_ARGUMENT, text, advice: "", metadata: {}, violations }} />,
  );
  return screen.getByRole("alert").textContent;
}

test("a refusal that is about one field names it and is said once", () => {
  expect(shown("Give 1 to 200 characters.", { field: "name", description: "Give 1 to 200 characters." })).toMatch(
    /^Give 1 to 200 characters\.name\s*$/,
  );
});
