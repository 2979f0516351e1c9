import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CellSchema } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { begunIn, namesIn, offersFor, suggestionsFor, takesTemplates } from "./templates";

const cell = (cellType: string, source: string, fields: object = {}) =>
  create(CellSchema, { cellType, source, fieldsJson: JSON.stringify(fields) });

describe("what templates may name", () => {
  test("variables come from assignments, from results and from forms", () => {
    const cells = [
      cell("python", "region = 'north'\na, b = 1, 2\nn: int = 3\n_own = 1\nif x == 2:\n    inner = 1\nf(k=1)\n"),
      cell("sql", "select 1", { variable: "rows" }),
      cell("form", "", { inputs: [{ name: "day" }, null] }),
      cell("shell", "name=1"),
    ];
    expect(namesIn(cells, []).variables).toEqual(["a", "b", "day", "n", "region", "rows"]);
  });

  test("of the environment the names are offered that are there already", () => {
    const cells = [
      cell("shell", "{{runtime_env:HOME}} {{ runtime_env : PROXY }}"),
      cell("rest", "", { url: "{{runtime_env:HOME}}" }),
    ];
    expect(namesIn(cells, []).environment).toEqual(["HOME", "PROXY"]);
  });

  test("text is taken as text where templates are", () => {
    expect(["python", "shell", "sql", "rest", "markdown", "raw", "form", "code"].filter(takesTemplates)).toEqual([
      ...["python", "shell", "sql", "rest"],
    ]);
  });
});

describe("a template that is begun", () => {
  test.each([
    ["echo {{", 5, ""],
    ["echo {{ reg", 5, "reg"],
    ["{{a}} {{secret:", 6, "secret:"],
    ["{{secret_var: na", 0, "secret_var: na"],
  ])("%s", (line, from, text) => {
    expect(begunIn(line)).toEqual({ from, text });
  });

  test.each(["echo {", "{{done}}", "\\{{escaped", "{{a}b"])("%s is none", (line) => {
    expect(begunIn(line)).toBeUndefined();
  });
});

describe("offers", () => {
  const names = { variables: ["region"], secrets: ["salt", "my db", 'a"b', "a{b"], environment: ["HOME"] };
  const labels = (text: string, known = names) => offersFor(text, known).map(({ label }) => label);

  test("everything first; names with spaces stand in quotes, and what cannot be written is left out", () => {
    expect(labels("")).toEqual([
      ...["{{region}}", "{{secret:salt}}", '{{secret:"my db"}}', "{{secret:'a\"b'}}"],
      ...["{{secret_var:…}}", "{{runtime_env:…}}"],
    ]);
  });

  test("then what the kind may name", () => {
    expect(labels("secret_var:r")).toEqual(["{{secret_var:region}}"]);
    expect(labels("runtime_env:")).toEqual(["{{runtime_env:HOME}}"]);
    expect(labels("secret:")).toHaveLength(3);
    expect(labels("other:")).toEqual([]);
  });

  test("who may use no secret is offered none", () => {
    expect(labels("", { ...names, secrets: [] })).toEqual(["{{region}}", "{{runtime_env:…}}"]);
  });
});

describe("a field of one line", () => {
  const names = { variables: ["region", "rows"], secrets: ["salt"], environment: [] };
  const offered = (before: string, behind = "") => suggestionsFor(before + behind, before.length, names);

  test("goes on with what was begun at the cursor, and keeps what is behind it", () => {
    const [region, ...others] = offered("/sites/{{reg", "/x");
    expect(others).toEqual([]);
    expect(region).toMatchObject({ text: "/sites/{{region}}/x", cursor: 17 });
  });

  test("takes closing braces with it, and stays inside where more is to be typed", () => {
    expect(offered("{{secret:", "}}").map(({ text }) => text)).toEqual(["{{secret:salt}}"]);
    expect(offered("{{runtime")[0]).toMatchObject({ text: "{{runtime_env:}}", cursor: 14 });
  });

  test("offers nothing outside of templates", () => {
    expect([offered("/sites"), offered("{{region}}"), offered("\\{{")].flat()).toEqual([]);
  });
});
