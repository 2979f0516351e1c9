import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";
import { type Suggest, SuggestingField } from "./suggesting-field";

const suggest: Suggest = (text) =>
  text.endsWith("@")
    ? ["ann", "ben"].map((name) => ({
        label: name,
        detail: "person",
        text: text + name,
        cursor: text.length + name.length,
      }))
    : [];

function Page() {
  const [value, setValue] = useState("");
  return <SuggestingField label="To" value={value} suggest={suggest} onChange={setValue} />;
}

function field() {
  render(<Page />);
  return screen.getByRole<HTMLInputElement>("combobox", { name: "To" });
}

test("the list opens while it is typed; arrows choose, Enter takes", async () => {
  const input = field();
  await userEvent.type(input, "hi @");
  expect(screen.getAllByRole("option")).toHaveLength(2);
  expect(input.getAttribute("aria-expanded")).toBe("true");
  await userEvent.keyboard("{ArrowDown}{Enter}");
  expect(input.value).toBe("hi @ben");
  expect(screen.queryByRole("option")).toBeNull();
});

test("Escape closes the list and leaves the text, a click takes an offer", async () => {
  const input = field();
  await userEvent.type(input, "@{Escape}");
  expect([input.value, screen.queryByRole("option")]).toEqual(["@", null]);
  await userEvent.clear(input);
  await userEvent.type(input, "@");
  await userEvent.click(screen.getByText("ann"));
  expect(input.value).toBe("@ann");
});
