import { Component, type ReactNode } from "react";
import { Button, Notice } from "../shared/ui";

/** Around a page's content: what fails in drawing it leaves the rest of the page, and a way on. */
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <Notice
        tone="bad"
        title="This page could not be shown"
        actions={
          <Button
            small
            onClick={() => {
              window.location.reload();
            }}
          >
            Reload
          </Button>
        }
      >
        <span>
          What was saved is safe. Reload the page; if it stays, tell whoever runs this installation what you did.
        </span>
      </Notice>
    );
  }
}
