import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";

// What jsdom lacks and the page needs. A system that prefers light; elements that have no size.
window.matchMedia ??= (query) => Object.assign(new EventTarget(), { matches: false, media: query }) as MediaQueryList;
globalThis.ResizeObserver ??= class {
  observe(): void {
    // Sizes do not change here.
  }
  unobserve(): void {
    // Sizes do not change here.
  }
  disconnect(): void {
    // Sizes do not change here.
  }
};
HTMLDialogElement.prototype.showModal ??= function showModal(this: HTMLDialogElement) {
  this.open = true;
};
HTMLDialogElement.prototype.close ??= function close(this: HTMLDialogElement) {
  this.open = false;
};
Element.prototype.scrollIntoView ??= () => undefined;

afterEach(() => {
  cleanup();
});
