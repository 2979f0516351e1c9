import { expect, test } from "vitest";
import { startCommands } from "./start-commands";

const TOKEN = "spin1.token";

test("the first command needs nothing that is not there yet, and keeps the identity in a folder that a person may write", () => {
  const [first] = startCommands(TOKEN, "http://localhost:8899");
  expect(first?.needs).toBeUndefined();
  expect(first?.text).toContain("make setup");
  expect(first?.text).toContain("SPIN_RUNTIME_PORT=8899");
  expect(first?.text).toContain('SPIN_HOME="$HOME/');
  expect(first?.text).toContain(TOKEN);
});

test("what needs an image or a chart says so", () => {
  const others = startCommands(TOKEN, "https://runtime.internal").slice(1);
  expect(others.map((command) => command.name)).toEqual(["Docker", "Compose", "Helm"]);
  for (const command of others) expect(command.needs).toMatch(/published/);
});
