import Anser, { type AnserJsonEntry } from "anser";
import { memo } from "react";
import type { Line } from "../model/stream-text";

const LONGEST = 20_000;

/** One line with its colours. Control sequences other than colours are left out. */
export const AnsiLine = memo(function AnsiLine({ line }: { line: Line }) {
  const text = typeof line === "string" ? line : line.sgr + line.text;
  return <AnsiText text={text} />;
});

export function AnsiText({ text }: { text: string }) {
  const shown = text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${text.length - LONGEST} more characters)` : text;
  if (!shown.includes("\u001b")) return shown;
  return Anser.ansiToJson(shown, { use_classes: true, json: true, remove_empty: true }).map((part, i) => (
    // The parts of a finished line never change their places.
    <span key={i} className={classesOf(part)} style={styleOf(part)}>
      {part.content}
    </span>
  ));
}

function classesOf(part: AnserJsonEntry): string {
  const colours = [part.fg && named(part.fg) ? part.fg : "", part.bg && named(part.bg) ? `${part.bg}-bg` : ""];
  return [...colours, ...part.decorations.map((decoration) => `ansi-${decoration}`)].filter(Boolean).join(" ");
}

function named(colour: string): boolean {
  return colour.startsWith("ansi-") && !colour.startsWith("ansi-palette") && colour !== "ansi-truecolor";
}

function styleOf(part: AnserJsonEntry): { color?: string; backgroundColor?: string } {
  const style: { color?: string; backgroundColor?: string } = {};
  const fg = exact(part.fg, part.fg_truecolor);
  const bg = exact(part.bg, part.bg_truecolor);
  if (fg) style.color = fg;
  if (bg) style.backgroundColor = bg;
  return style;
}

/** Colours that have no name: the 256-colour palette and 24-bit ones. */
function exact(colour: string | null, truecolor: string | null): string | undefined {
  if (colour === "ansi-truecolor" && truecolor) return `rgb(${truecolor})`;
  const index = /^ansi-palette-(\d+)$/.exec(colour ?? "")?.[1];
  return index === undefined ? undefined : paletteColour(Number(index));
}

function paletteColour(index: number): string {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return `rgb(${grey},${grey},${grey})`;
  }
  const cube = index - 16;
  const level = (value: number): number => (value === 0 ? 0 : 55 + value * 40);
  return `rgb(${level(Math.floor(cube / 36))},${level(Math.floor(cube / 6) % 6)},${level(cube % 6)})`;
}
