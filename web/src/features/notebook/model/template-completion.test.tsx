import { CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { expect, test } from "vitest";
import { completeTemplates, outsideTemplates } from "./template-completion";

const NAMES = { variables: ["region"], secrets: ["salt"], environment: [] };
const source = completeTemplates(() => NAMES);

function completed(before: string, behind: string, label: string): string {
  const state = EditorState.create({ doc: before + behind, selection: { anchor: before.length } });
  const view = new EditorView({ state });
  const result = source(new CompletionContext(state, before.length, true)) as CompletionResult;
  const chosen = result.options.find((option) => option.label === label);
  if (typeof chosen?.apply !== "function") throw new Error(`${label} was not offered`);
  chosen.apply(view, chosen, result.from, before.length);
  const { head } = view.state.selection.main;
  return `${view.state.sliceDoc(0, head)}|${view.state.sliceDoc(head)}`;
}

test("the closing braces that the editor put there are taken with it", () => {
  expect(completed("echo {{", "}}; ls", "{{region}}")).toBe("echo {{region}}|; ls");
  expect(completed("echo {{sec", "", "{{secret:salt}}")).toBe("echo {{secret:salt}}|");
});

test("where more is to be typed the cursor stays inside", () => {
  expect(completed("{{", "}}", "{{runtime_env:…}}")).toBe("{{runtime_env:|}}");
});

test("the kernel is asked outside of templates alone", () => {
  const kernel = outsideTemplates(
    () => NAMES,
    () => ({ from: 0, options: [{ label: "kernel" }] }),
  );
  const asked = (doc: string) => kernel(new CompletionContext(EditorState.create({ doc }), doc.length, true));
  expect(asked("pri")).not.toBeNull();
  expect(asked("f({{re")).toBeNull();
});
