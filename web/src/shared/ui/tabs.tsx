import { type ReactNode, useId, useState } from "react";

export interface Tab {
  name: string;
  content: ReactNode;
}

/** Tabs as the ARIA practices describe them: arrows move, the panel follows. */
export function Tabs({ label, tabs }: { label: string; tabs: readonly Tab[] }) {
  const [chosen, setChosen] = useState(0);
  const id = useId();
  const move = (step: number): void => {
    const next = (chosen + step + tabs.length) % tabs.length;
    setChosen(next);
    document.getElementById(`${id}-${next}`)?.focus();
  };
  return (
    <div className="stack">
      <div className="tabs" role="tablist" aria-label={label}>
        {tabs.map((tab, i) => (
          <button
            key={tab.name}
            type="button"
            id={`${id}-${i}`}
            role="tab"
            className="tabs__tab"
            aria-selected={i === chosen}
            tabIndex={i === chosen ? 0 : -1}
            onClick={() => {
              setChosen(i);
            }}
            onKeyDown={(event) => {
              if (event.key === "ArrowRight") move(1);
              if (event.key === "ArrowLeft") move(-1);
            }}
          >
            {tab.name}
          </button>
        ))}
      </div>
      <div role="tabpanel" aria-labelledby={`${id}-${chosen}`}>
        {tabs[chosen]?.content}
      </div>
    </div>
  );
}
