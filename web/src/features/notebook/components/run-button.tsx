import { RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { RunView } from "../../session";
import type { CellState } from "../model/cell-state";
import type { CellProps } from "./cell-frame";

interface Props extends CellProps {
  state: CellState;
  run: RunView | undefined;
}

/** Runs the cell; while it waits in the queue, takes it out; while it runs, interrupts it. */
export function RunButton({ cell, editor, session, state, run }: Props) {
  if (state.name === "running") {
    return (
      <button
        type="button"
        className="cell__run"
        aria-label="Interrupt"
        title="Interrupt (I, I)"
        onClick={() => session?.kernel.interrupt()}
      >
        <span className="cell__stop" />
      </button>
    );
  }
  if (run?.phase === RunPhase.QUEUED && state.name === "queued") {
    return (
      <button
        type="button"
        className="cell__run"
        aria-label="Take out of the queue"
        title="Take out of the queue"
        onClick={() => session?.cancelQueued(run.key)}
      >
        ✕
      </button>
    );
  }
  return (
    <button
      type="button"
      className="cell__run"
      aria-label="Run the cell"
      title={editor.whyNotRun ?? "Run the cell (Ctrl+Enter)"}
      disabled={state.active || editor.whyNotRun !== undefined}
      onClick={() => {
        editor.run(cell.id);
      }}
    >
      {state.active ? <span className="spinner" /> : "▶"}
    </button>
  );
}
