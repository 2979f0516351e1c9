/**
 * The tokens of who is signed in.
 *
 * - The access token stays in memory; the refresh token is kept in IndexedDB, because it must survive a reload.
 * - A refresh token works once. Tabs take turns by a Web Lock, read the newest token inside it, and write the successor before they
 *   let go, so that no two of them ever send the same one.
 * - A tab that refreshed tells the others its access token, which spares them their own call.
 */
import type { Kept } from "../kept";

export interface TokenPair {
  accessToken: string;
  refreshToken: string;
  accessExpiresAtMs: number;
}

/** What sign-in and refresh answer when the refresh token is dead: the person must sign in again. */
export class SignedOut extends Error {}

interface Collaborators {
  kept: Kept;
  /** Trades a refresh token; throws SignedOut when the service says that it is dead, anything else when it did not answer. */
  refresh: (refreshToken: string) => Promise<TokenPair>;
  exclusively: <T>(act: () => Promise<T>) => Promise<T>;
  channel: Pick<BroadcastChannel, "postMessage" | "addEventListener">;
  now: () => number;
}

type Announcement = { kind: "renewed"; accessToken: string; accessExpiresAtMs: number } | { kind: "forgotten" };

const KEY = "refresh-token";
const MARGIN_MS = 30_000;

export class TokenKeeper {
  #access: { token: string; expiresAtMs: number } | undefined;
  #signedIn = false;
  #renewing: Promise<string> | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #with: Collaborators;

  constructor(collaborators: Collaborators) {
    this.#with = collaborators;
    collaborators.channel.addEventListener("message", (event) => {
      this.#hear((event as MessageEvent<Announcement>).data);
    });
  }

  get signedIn(): boolean {
    return this.#signedIn;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Finds out at start whether someone is signed in. */
  async load(): Promise<void> {
    this.#setSignedIn(typeof (await this.#with.kept.get(KEY)) === "string");
  }

  async accept(tokens: TokenPair): Promise<void> {
    await this.#with.exclusively(() => this.#keep(tokens));
  }

  /** Forgets all tokens here and in the other tabs; answers the refresh token, for the service to revoke. */
  async forget(): Promise<string> {
    return this.#with.exclusively(async () => {
      const refreshToken = await this.#with.kept.get(KEY);
      await this.#drop();
      return typeof refreshToken === "string" ? refreshToken : "";
    });
  }

  /** A token that is good for a while yet. Throws SignedOut when there is none to be had. */
  async accessToken(): Promise<string> {
    if (this.#fresh()) return this.#access?.token ?? "";
    return this.renew();
  }

  /** A new token, although the present one looks good: the service refused it. */
  renew(refused = ""): Promise<string> {
    this.#renewing ??= this.#with.exclusively(() => this.#renew(refused)).finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #renew(refused: string): Promise<string> {
    if (this.#fresh() && this.#access && this.#access.token !== refused) return this.#access.token;
    const refreshToken = await this.#with.kept.get(KEY);
    if (typeof refreshToken !== "string") {
      this.#setSignedIn(false);
      throw new SignedOut();
    }
    try {
      const tokens = await this.#with.refresh(refreshToken);
      await this.#keep(tokens);
      return tokens.accessToken;
    } catch (error) {
      if (error instanceof SignedOut) await this.#drop();
      throw error;
    }
  }

  async #keep(tokens: TokenPair): Promise<void> {
    await this.#with.kept.put(KEY, tokens.refreshToken);
    this.#access = { token: tokens.accessToken, expiresAtMs: tokens.accessExpiresAtMs };
    this.#announce({ kind: "renewed", accessToken: tokens.accessToken, accessExpiresAtMs: tokens.accessExpiresAtMs });
    this.#setSignedIn(true);
  }

  async #drop(): Promise<void> {
    await this.#with.kept.delete(KEY);
    this.#access = undefined;
    this.#announce({ kind: "forgotten" });
    this.#setSignedIn(false);
  }

  #announce(announcement: Announcement): void {
    this.#with.channel.postMessage(announcement);
  }

  #hear(announcement: Announcement): void {
    switch (announcement.kind) {
      case "renewed":
        this.#access = { token: announcement.accessToken, expiresAtMs: announcement.accessExpiresAtMs };
        this.#setSignedIn(true);
        return;
      case "forgotten":
        this.#access = undefined;
        this.#setSignedIn(false);
        return;
      default:
        announcement satisfies never;
    }
  }

  #fresh(): boolean {
    return this.#access !== undefined && this.#access.expiresAtMs - MARGIN_MS > this.#with.now();
  }

  #setSignedIn(signedIn: boolean): void {
    if (this.#signedIn === signedIn) return;
    this.#signedIn = signedIn;
    for (const listener of this.#listeners) listener();
  }
}
