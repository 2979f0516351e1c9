/** A value that is not there yet when it is first asked for: whoever asks waits for it, and later ones get the newest. */
export class Latest<T> {
  #known: { value: T } | { error: unknown } | undefined;
  #waiting: { resolve: (value: T) => void; reject: (error: unknown) => void }[] = [];

  set(value: T): void {
    this.#known = { value };
    for (const { resolve } of this.#waiting.splice(0)) resolve(value);
  }

  /** Nobody waits for what did not come. A value that came before still counts. */
  fail(error: unknown): void {
    if (!this.#known || "error" in this.#known) this.#known = { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  get(): Promise<T> {
    const known = this.#known;
    return new Promise((resolve, reject) => {
      if (!known) this.#waiting.push({ resolve, reject });
      else if ("value" in known) resolve(known.value);
      else reject(known.error);
    });
  }
}
