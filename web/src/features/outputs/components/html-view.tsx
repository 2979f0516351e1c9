import DOMPurify from "dompurify";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { onThemeChange, shownTheme } from "../../../shared/theme";

/**
 * HTML of a cell, in a frame of its own. Three walls: it is purified, the frame's sandbox runs no scripts, and the page's policy, which
 * the frame inherits, loads nothing from elsewhere. The frame keeps the page's origin only so that its height can be read.
 */
export function HtmlView({ html }: { html: string }) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [height, setHeight] = useState(24);
  const theme = useSyncExternalStore(onThemeChange, shownTheme);
  const document = useMemo(() => framed(html, theme), [html, theme]);
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const sizes = new ResizeObserver(() => {
      const body = element.contentDocument?.body;
      if (body) setHeight(Math.min(2000, Math.ceil(body.getBoundingClientRect().height) + 2));
    });
    const loaded = (): void => {
      const body = element.contentDocument?.body;
      if (body) sizes.observe(body);
    };
    element.addEventListener("load", loaded);
    loaded();
    return () => {
      sizes.disconnect();
      element.removeEventListener("load", loaded);
    };
  }, [document]);
  return (
    <iframe
      ref={frame}
      className="display__frame"
      title="HTML output"
      sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"
      srcDoc={document}
      style={{ height }}
    />
  );
}

const STYLE = `
  html { color-scheme: light; --line: #e1e3e8; --sunken: #f1f2f5; --text: #1b1f27; --link: #3558d4; }
  html.dark { color-scheme: dark; --line: #2b303a; --sunken: #20242c; --text: #e6e8ec; --link: #7f9dff; }
  body { display: flow-root; margin: 0; background: transparent; color: var(--text); font: 13px/1.5 system-ui, sans-serif; overflow-x: auto; }
  a { color: var(--link); }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: 4px 10px; border-bottom: 1px solid var(--line); text-align: right; }
  th { font-weight: 600; }
  tbody tr:nth-child(odd) { background: var(--sunken); }
  img, svg { max-width: 100%; }
`;

function framed(html: string, theme: "light" | "dark"): string {
  const clean = DOMPurify.sanitize(html, {
    ADD_ATTR: ["target"],
    FORBID_TAGS: ["form", "input", "button", "textarea", "select", "iframe", "object", "embed"],
  });
  return `<!doctype html><html class="${theme}"><head><base target="_blank"><style>${STYLE}</style></head><body>${clean}</body></html>`;
}
