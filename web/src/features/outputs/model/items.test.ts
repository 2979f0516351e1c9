import { describe, expect, test } from "vitest";
import { OutputKind } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { output, printed } from "../../../testing/frames";
import { type CellOutputs, NO_OUTPUTS, applyDisplayUpdate, applyMessage, displayUpdateOf, messageOf } from "./items";
import { outputsFromNbformat, outputsToNbformat } from "./nbformat";
import { plainText } from "./stream-text";

const after = (...outputs: ReturnType<typeof output>[]): CellOutputs =>
  outputs.map(messageOf).reduce(applyMessage, NO_OUTPUTS);
const display = (text: string, display_id?: string) =>
  output(OutputKind.DISPLAY_DATA, { data: { "text/plain": text }, metadata: {}, transient: { display_id } });

describe("outputs of a cell", () => {
  test("text of one stream is one item, another stream begins another", () => {
    const { items } = after(printed("a"), printed("b"), output(OutputKind.STREAM, { name: "stderr", text: "c" }));
    expect(items.map((item) => item.kind === "stream" && plainText(item.text))).toEqual(["ab", "c"]);
  });

  test("clear_output takes all away at once", () => {
    expect(after(printed("a"), output(OutputKind.CLEAR_OUTPUT, { wait: false })).items).toEqual([]);
  });

  test("clear_output that waits takes all away with the next output", () => {
    const waiting = after(printed("a"), output(OutputKind.CLEAR_OUTPUT, { wait: true }));
    expect(waiting.items).toHaveLength(1);
    const replaced = applyMessage(waiting, messageOf(printed("b")));
    expect(replaced.items.map((item) => item.kind === "stream" && plainText(item.text))).toEqual(["b"]);
  });

  test("an update changes every display of its id and no other", () => {
    const outputs = after(display("old", "bar"), display("other", "foo"), display("old", "bar"));
    const message = messageOf(
      output(OutputKind.UPDATE_DISPLAY_DATA, { data: { "text/plain": "new" }, transient: { display_id: "bar" } }),
    );
    const update = displayUpdateOf(message);
    const texts =
      update &&
      applyDisplayUpdate(outputs, update).items.map((item) => item.kind === "display" && item.data["text/plain"]);
    expect(texts).toEqual(["new", "other", "new"]);
  });

  test("a cut output says so", () => {
    expect(after(output(OutputKind.TRUNCATED, { limit_bytes: 8, text: "cut at 8 bytes" })).items).toEqual([
      { kind: "truncated", text: "cut at 8 bytes" },
    ]);
  });

  test("what a kernel wrote that is no JSON does no harm", () => {
    const broken = { ...printed("a"), body: new Uint8Array([10, 2, 123, 34]) };
    expect(after(broken).items).toHaveLength(1);
  });

  test("the notebook file gets them and gives them back", () => {
    const outputs = after(
      printed("text\n"),
      output(OutputKind.EXECUTE_RESULT, { data: { "text/plain": "1" }, metadata: {}, execution_count: 3 }),
      output(OutputKind.ERROR, { ename: "ValueError", evalue: "no", traceback: ["a", "b"] }),
    );
    const json = outputsToNbformat(outputs);
    expect(outputsToNbformat(outputsFromNbformat(json, 3))).toBe(json);
    expect(JSON.parse(json)).toMatchObject([
      { output_type: "stream", text: "text\n" },
      { output_type: "execute_result", execution_count: 3 },
      { output_type: "error", ename: "ValueError" },
    ]);
  });
});
