/**
 * Charts under the page's policy: no code is made from text (the interpreter evaluates expressions from their syntax trees) and nothing is
 * loaded from an address: the data stand in the chart.
 */
import embed, { type EmbedOptions, type Result, type VisualizationSpec } from "vega-embed";
import { expressionInterpreter } from "vega-interpreter";
import { Trouble } from "../../../shared/api/problem";

const DARK = {
  background: "transparent",
  view: { stroke: "#434a58" },
  title: { color: "#e6e8ec" },
  style: { "guide-label": { fill: "#a2aab8" }, "guide-title": { fill: "#e6e8ec" } },
  axis: { domainColor: "#434a58", gridColor: "#2b303a", tickColor: "#434a58" },
};
const LIGHT = { background: "transparent" };

export async function drawChart(
  place: HTMLElement,
  spec: VisualizationSpec,
  { lite, dark }: { lite: boolean; dark: boolean },
): Promise<Result> {
  const refuse = (): Promise<never> =>
    Promise.reject(
      new Trouble("The chart wants to load data from an address.", "Put the data into the chart instead."),
    );
  const options: EmbedOptions = {
    mode: lite ? "vega-lite" : "vega",
    ast: true,
    expr: expressionInterpreter,
    actions: { export: true, source: false, compiled: false, editor: false },
    renderer: "svg",
    config: dark ? DARK : LIGHT,
    loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
  };
  return embed(place, spec, options);
}
