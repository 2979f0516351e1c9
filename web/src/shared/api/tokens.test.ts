import { beforeEach, describe, expect, test } from "vitest";
import type { Kept } from "../kept";
import { SignedOut, TokenKeeper, type TokenPair } from "./tokens";

/** A browser: what its tabs share. The service kills the family when a refresh token comes twice. */
class Browser {
  now = 0;
  store = new Map<string, unknown>();
  used = new Set<string>();
  refreshes = 0;
  failing: Error | undefined;
  #line: Promise<unknown> = Promise.resolve();
  #tabs: ((data: unknown) => void)[] = [];

  kept: Kept = {
    get: (key) => Promise.resolve(this.store.get(key)),
    put: (key, value) => Promise.resolve(void this.store.set(key, value)),
    delete: (key) => Promise.resolve(void this.store.delete(key)),
  };

  tab(deaf = false): TokenKeeper {
    const own: { hear?: (data: unknown) => void } = {};
    return new TokenKeeper({
      kept: this.kept,
      now: () => this.now,
      refresh: (token) => this.#refresh(token),
      exclusively: (act) => {
        const turn = this.#line.then(act);
        this.#line = turn.catch(() => undefined);
        return turn;
      },
      channel: {
        postMessage: (data: unknown) => {
          for (const hear of this.#tabs) if (hear !== own.hear) hear(data);
        },
        addEventListener: (_type: string, listener: unknown) => {
          own.hear = (data) => {
            (listener as (event: { data: unknown }) => void)({ data });
          };
          if (!deaf) this.#tabs.push(own.hear);
        },
      } as never,
    });
  }

  async #refresh(token: string): Promise<TokenPair> {
    await Promise.resolve();
    if (this.failing) throw this.failing;
    if (this.used.has(token)) throw new SignedOut();
    this.used.add(token);
    this.refreshes += 1;
    return pair(this.refreshes, this.now);
  }
}

const pair = (n: number, now: number): TokenPair => ({
  accessToken: `access ${n}`,
  refreshToken: `refresh ${n}`,
  accessExpiresAtMs: now + 600_000,
});

describe("tokens", () => {
  let browser: Browser;
  beforeEach(() => {
    browser = new Browser();
  });

  test("a fresh token is used as it is", async () => {
    const tab = browser.tab();
    await tab.accept(pair(0, 0));
    expect(await tab.accessToken()).toBe("access 0");
    expect(browser.refreshes).toBe(0);
  });

  test("many calls at once refresh once", async () => {
    const tab = browser.tab();
    await tab.accept(pair(0, 0));
    browser.now = 590_000;
    expect(new Set(await Promise.all(Array.from({ length: 10 }, () => tab.accessToken())))).toEqual(
      new Set(["access 1"]),
    );
    expect(browser.refreshes).toBe(1);
  });

  test("tabs that do not even hear each other never send the same refresh token", async () => {
    const tabs = [browser.tab(true), browser.tab(true), browser.tab(true)];
    await tabs[0]?.accept(pair(0, 0));
    browser.now = 590_000;
    await Promise.all(tabs.map((tab) => tab.accessToken()));
    expect(browser.refreshes).toBe(3);
    expect(tabs.every((tab) => tab.signedIn)).toBe(true);
  });

  test("a tab that heard of the new token makes no call of its own", async () => {
    const [one, two] = [browser.tab(), browser.tab()];
    await one.accept(pair(0, 0));
    browser.now = 590_000;
    expect(await Promise.all([one.accessToken(), two.accessToken()])).toEqual(["access 1", "access 1"]);
    expect(browser.refreshes).toBe(1);
  });

  test("the refresh token survives a reload, the access token does not", async () => {
    await browser.tab().accept(pair(0, 0));
    const reloaded = browser.tab();
    await reloaded.load();
    expect(reloaded.signedIn).toBe(true);
    expect(await reloaded.accessToken()).toBe("access 1");
    expect([...browser.store.values()]).toEqual(["refresh 1"]);
  });

  test("a service that does not answer ends no sign-in", async () => {
    const tab = browser.tab();
    await tab.accept(pair(0, 0));
    browser.now = 590_000;
    browser.failing = new Error("network");
    await expect(tab.accessToken()).rejects.toThrow("network");
    expect(tab.signedIn).toBe(true);
    browser.failing = undefined;
    expect(await tab.accessToken()).toBe("access 1");
  });

  test("a dead refresh token signs every tab out", async () => {
    const [one, two] = [browser.tab(), browser.tab()];
    await one.accept(pair(0, 0));
    browser.used.add("refresh 0");
    browser.now = 590_000;
    await expect(one.accessToken()).rejects.toBeInstanceOf(SignedOut);
    expect([one.signedIn, two.signedIn, browser.store.size]).toEqual([false, false, 0]);
  });

  test("signing out gives the token to revoke and forgets it everywhere", async () => {
    const [one, two] = [browser.tab(), browser.tab()];
    await one.accept(pair(0, 0));
    expect(await two.forget()).toBe("refresh 0");
    expect(one.signedIn).toBe(false);
  });

  test("a token that the service refuses is renewed although it looks good", async () => {
    const tab = browser.tab();
    await tab.accept(pair(0, 0));
    expect(await tab.renew("access 0")).toBe("access 1");
  });
});
