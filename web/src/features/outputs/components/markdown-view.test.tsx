import { expect, test } from "vitest";
import { renderMarkdown } from "./markdown-view";

test("markdown is rendered", () => {
  expect(renderMarkdown("# Title\n\n*now*")).toBe("<h1>Title</h1>\n<p><em>now</em></p>\n");
});

test("a link opens elsewhere and learns nothing of this page", () => {
  expect(renderMarkdown("[x](https://example.com)")).toContain('rel="noopener noreferrer"');
});

test.each([
  "<script>steal()</script>",
  '<img src="x" onerror="steal()">',
  "[x](javascript:steal())",
  '<form action="https://example.com"><input name="password"></form>',
  "<style>body{display:none}</style>",
  '<iframe src="https://example.com"></iframe>',
])("what could act in the page is taken out: %s", (source) => {
  const holder = document.createElement("div");
  holder.innerHTML = renderMarkdown(source);
  expect(holder.querySelector("script, form, input, style, iframe, [onerror], a[href^=javascript]")).toBeNull();
});
