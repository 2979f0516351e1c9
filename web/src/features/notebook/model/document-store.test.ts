import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb";
import { type Notebook, CellSchema, NotebookSchema } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import type { NotebookDocument } from "./document";
import { DocumentStore } from "./document-store";

/** A workspace service that keeps one notebook and its etag. */
class Service {
  notebook: Notebook = create(NotebookSchema, {
    title: "T",
    cells: [create(CellSchema, { id: "a", source: "0" })],
    etag: "1",
    version: 1n,
  });
  saves = 0;
  fail: Error | undefined;

  load = (): Promise<Notebook> => Promise.resolve(this.notebook);

  save = (document: NotebookDocument, etag: string): Promise<Notebook> => {
    this.saves += 1;
    if (this.fail) return Promise.reject(this.fail);
    if (etag !== this.notebook.etag) return Promise.reject(mismatch());
    return Promise.resolve(this.write(document));
  };

  write(document: NotebookDocument): Notebook {
    this.notebook = create(NotebookSchema, {
      ...document,
      cells: [...document.cells],
      etag: String(Number(this.notebook.etag) + 1),
      version: this.notebook.version + 1n,
    });
    return this.notebook;
  }

  source(): string | undefined {
    return this.notebook.cells[0]?.source;
  }
}

function mismatch(): ConnectError {
  const error = new ConnectError("changed since", Code.Aborted);
  error.details = [{ desc: ErrorInfoSchema, value: { domain: "spin", reason: "ERROR_REASON_ETAG_MISMATCH" } }];
  return error;
}

describe("keeping a notebook saved", () => {
  let service: Service;
  let store: DocumentStore;
  const type = (source: string): void => {
    store.edit({ kind: "source", cellId: "a", source });
  };
  const theirs = (): void => {
    service.write({ title: "T", cells: [create(CellSchema, { id: "a", source: "theirs" })], metadataJson: "" });
  };

  beforeEach(() => {
    vi.useFakeTimers();
    service = new Service();
    store = new DocumentStore(service.notebook, service);
  });
  afterEach(() => {
    store.stop();
    vi.useRealTimers();
  });

  test("many edits are one save, after a pause", async () => {
    for (const source of ["1", "12", "123"]) type(source);
    expect(store.view.save.kind).toBe("unsaved");
    await vi.advanceTimersByTimeAsync(2500);
    expect([service.saves, service.source(), store.view.save.kind]).toEqual([1, "123", "saved"]);
  });

  test("what is typed during a save is saved after it", async () => {
    type("1");
    const saving = store.flush();
    type("2");
    await saving;
    expect(store.view.save.kind).toBe("unsaved");
    await vi.advanceTimersByTimeAsync(2500);
    expect(service.source()).toBe("2");
  });

  test("several wishes to save at once are one save", async () => {
    type("1");
    await Promise.all([store.flush(), store.flush(), store.flush()]);
    expect([service.saves, store.view.save.kind]).toEqual([1, "saved"]);
  });

  test("a conflict overwrites nothing and loses nothing", async () => {
    theirs();
    type("mine");
    await store.flush();
    expect(store.view.save.kind).toBe("conflict");
    type("still mine");
    await vi.advanceTimersByTimeAsync(60_000);
    expect([service.source(), service.saves]).toEqual(["theirs", 1]);
    expect(store.view.document.cells[0]?.source).toBe("still mine");
  });

  test("theirs can be taken", async () => {
    theirs();
    type("mine");
    await store.flush();
    await store.takeTheirs();
    expect([store.view.document.cells[0]?.source, store.view.save.kind]).toEqual(["theirs", "saved"]);
  });

  test("mine can be kept", async () => {
    theirs();
    type("mine");
    await store.flush();
    await store.keepMine();
    expect([service.source(), store.view.save.kind]).toEqual(["mine", "saved"]);
  });

  test("an answer that is older than our save changes nothing", async () => {
    const older = service.notebook;
    type("1");
    await store.flush();
    store.offer(older);
    expect(store.view.document.cells[0]?.source).toBe("1");
  });

  test("a service that is away is tried again", async () => {
    service.fail = new ConnectError("away", Code.Unavailable);
    type("1");
    await store.flush();
    expect(store.view.save.kind).toBe("failed");
    service.fail = undefined;
    await vi.advanceTimersByTimeAsync(11_000);
    expect([service.source(), store.view.save.kind]).toEqual(["1", "saved"]);
  });

  test("what a run printed does not make the notebook unsaved", async () => {
    store.setOutputs("a", "[]", 1);
    await store.flush();
    expect([service.saves, store.view.save.kind]).toEqual([0, "saved"]);
  });

  test("what others saved is shown when nothing of ours would be lost", () => {
    theirs();
    store.offer(service.notebook);
    expect(store.view.document.cells[0]?.source).toBe("theirs");
    type("mine");
    theirs();
    store.offer(service.notebook);
    expect(store.view.document.cells[0]?.source).toBe("mine");
  });
});
