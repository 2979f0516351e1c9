import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { VisualizationSpec } from "vega-embed";
import { onThemeChange, shownTheme } from "../../../shared/theme";
import { ProblemNotice } from "../../../shared/ui";
import { drawChart } from "../model/chart";

/** A Vega or Vega-Lite chart. Loaded with the first one; the default export is what `lazy` wants. */
export default function ChartView({ spec, lite }: { spec: Record<string, unknown>; lite: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  const [error, setError] = useState<unknown>();
  const theme = useSyncExternalStore(onThemeChange, shownTheme);
  useEffect(() => {
    if (!place.current) return undefined;
    const chart = drawChart(place.current, spec as VisualizationSpec, { lite, dark: theme === "dark" });
    chart.then(() => {
      setError(undefined);
    }, setError);
    return () => {
      void chart.then(
        (drawn) => {
          drawn.finalize();
        },
        () => undefined,
      );
    };
  }, [spec, lite, theme]);
  return (
    <>
      <div ref={place} className="chart" role="img" aria-label={titleOf(spec)} />
      {error !== undefined && <ProblemNotice error={error} />}
    </>
  );
}

function titleOf(spec: Record<string, unknown>): string {
  return typeof spec.title === "string" ? `Chart: ${spec.title}` : "Chart";
}
