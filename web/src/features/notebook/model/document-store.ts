/**
 * The document, and keeping it saved.
 *
 * - Saved after a pause in the editing, before a run, and when the page is left; one save at a time.
 * - The etag of what was read goes with each save. When someone else saved meanwhile, nothing is overwritten and nothing is lost: saving
 *   stops until the person has chosen between theirs and ours.
 */
import type { Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { type Problem, problemOf } from "../../../shared/api/problem";
import { type Edit, type NotebookDocument, applyEdit, documentOf } from "./document";

export type SaveState =
  | { readonly kind: "saved" | "unsaved" | "saving" | "conflict" }
  | { readonly kind: "failed"; readonly problem: Problem };

export interface DocumentView {
  readonly document: NotebookDocument;
  readonly save: SaveState;
  readonly version: bigint;
}

export interface DocumentCalls {
  save(document: NotebookDocument, etag: string): Promise<Notebook>;
  load(): Promise<Notebook>;
}

const PAUSE_MS = 2000;
const RETRY_MS = 10_000;

export class DocumentStore {
  readonly #calls: DocumentCalls;
  readonly #listeners = new Set<() => void>();
  #view: DocumentView;
  #etag: string;
  #saved: NotebookDocument;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> | undefined;

  constructor(notebook: Notebook, calls: DocumentCalls) {
    this.#calls = calls;
    this.#saved = documentOf(notebook);
    this.#etag = notebook.etag;
    this.#view = { document: this.#saved, save: { kind: "saved" }, version: notebook.version };
  }

  get view(): DocumentView {
    return this.#view;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  edit(edit: Edit): void {
    const document = applyEdit(this.#view.document, edit);
    if (document === this.#view.document) return;
    const conflict = this.#view.save.kind === "conflict";
    this.#update({ document, save: conflict ? this.#view.save : { kind: "unsaved" } });
    if (!conflict) this.#later(PAUSE_MS);
  }

  /** What a run printed is stored by a call of its own: it makes the document no newer. */
  setOutputs(cellId: string, outputsJson: string, executionCount: number | undefined): void {
    const edit: Edit = { kind: "outputs", cellId, outputsJson, executionCount };
    const unchanged = this.#saved === this.#view.document;
    const document = applyEdit(this.#view.document, edit);
    this.#saved = unchanged ? document : applyEdit(this.#saved, edit);
    this.#update({ document });
  }

  /** Saves now what is not saved. Settles when it is, or when it could not be. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#saving) await this.#saving;
    if (this.#view.document === this.#saved || this.#view.save.kind === "conflict") return;
    this.#saving = this.#save().finally(() => (this.#saving = undefined));
    await this.#saving;
  }

  /** What the service has now: taken over when it is newer and nothing of ours would be lost; otherwise it shows at our next save. */
  offer(notebook: Notebook): void {
    const clean = this.#view.document === this.#saved && !this.#saving;
    if (clean && notebook.version > this.#view.version) this.#take(notebook);
  }

  async takeTheirs(): Promise<void> {
    this.#take(await this.#calls.load());
  }

  async keepMine(): Promise<void> {
    this.#etag = (await this.#calls.load()).etag;
    this.#update({ save: { kind: "unsaved" } });
    await this.flush();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  async #save(): Promise<void> {
    const { document } = this.#view;
    this.#update({ save: { kind: "saving" } });
    try {
      const notebook = await this.#calls.save(document, this.#etag);
      this.#etag = notebook.etag;
      this.#saved = document;
      const more = this.#view.document !== document;
      this.#update({ save: { kind: more ? "unsaved" : "saved" }, version: notebook.version });
      if (more) this.#later(PAUSE_MS);
    } catch (error) {
      this.#failed(problemOf(error));
    }
  }

  #failed(problem: Problem): void {
    if (problem.reason === ErrorReason.ETAG_MISMATCH) {
      this.#update({ save: { kind: "conflict" } });
      return;
    }
    this.#update({ save: { kind: "failed", problem } });
    const mayPass = [ErrorReason.UNAVAILABLE, ErrorReason.RATE_LIMITED, ErrorReason.INTERNAL].includes(problem.reason);
    if (mayPass) this.#later(RETRY_MS);
  }

  #take(notebook: Notebook): void {
    clearTimeout(this.#timer);
    this.#saved = documentOf(notebook);
    this.#etag = notebook.etag;
    this.#update({ document: this.#saved, save: { kind: "saved" }, version: notebook.version });
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), ms);
  }

  #update(change: Partial<DocumentView>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener();
  }
}
