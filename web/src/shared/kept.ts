/**
 * What this browser keeps for this origin, in IndexedDB.
 *
 * Not localStorage: a value written in one tab may be read stale in another for a moment, and a stale refresh token used again
 * ends the whole sign-in. IndexedDB's transactions are ordered over tabs.
 */

const STORE = "kept";

let opening: Promise<IDBDatabase> | undefined;

function database(): Promise<IDBDatabase> {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("spin", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      opening = undefined;
      reject(request.error ?? new Error("IndexedDB cannot be opened"));
    };
  });
  return opening;
}

async function transact<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await database();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    transaction.oncomplete = () => {
      resolve(request.result);
    };
    transaction.onabort = () => {
      reject(transaction.error ?? new Error("IndexedDB refused"));
    };
  });
}

export interface Kept {
  get(key: string): Promise<unknown>;
  put(key: string, value: unknown): Promise<void>;
  delete(key: string): Promise<void>;
}

export const kept: Kept = {
  get: (key) => transact<unknown>("readonly", (store) => store.get(key) as IDBRequest<unknown>),
  put: async (key, value) => {
    await transact("readwrite", (store) => store.put(value, key));
  },
  delete: async (key) => {
    await transact("readwrite", (store) => store.delete(key));
  },
};
