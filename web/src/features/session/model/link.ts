/**
 * Keeps one socket attached to the runtime: dials, attaches, waits until it is lost, and dials again with growing pauses. While it is
 * held, it stays closed: the runtime keeps the stream meanwhile. A fatal failure ends it.
 */
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import type { RuntimeFrame } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { type Problem, Trouble, problemOf } from "../../../shared/api/problem";
import { sameBytes } from "../../../shared/bytes";
import { type Attachment, type Credentials, attach } from "./attach";
import { type ClientBody, type Dial, FrameSocket } from "./frame-socket";

export type LinkPhase = "connecting" | "attached" | "waiting" | "held" | "stopped";

interface Collaborators {
  url: string;
  dial: Dial;
  credentials(): Promise<Credentials>;
  pause(ms: number): Promise<void>;
  phase(phase: LinkPhase, problem?: Problem): void;
  /** The handshake is done; `sameBoot` when the runtime is the one of the attachment before. Frames come after it. */
  attached(attachment: Attachment, sameBoot: boolean): void;
  frame(frame: RuntimeFrame): void;
  lost(): void;
  /** The platform says that this person may not attach: for good, as far as this page knows. Whoever hears it stops the link. */
  refused(problem: Problem): void;
}

const RECONNECT_MS = [200, 500, 1000, 2000, 5000, 10_000];
const HELD_MS = 60_000;
/** Of who was removed from the workspace, or signed out: asking again changes nothing. */
const FINAL = new Set([ErrorReason.PERMISSION_DENIED, ErrorReason.NOT_FOUND, ErrorReason.UNAUTHENTICATED]);

export class Link {
  readonly #with: Collaborators;
  #socket: FrameSocket | undefined;
  #attachment: Attachment | undefined;
  #lastBoot: Uint8Array | undefined;
  #attempt = 0;
  #held = false;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(collaborators: Collaborators) {
    this.#with = collaborators;
  }

  get attachment(): Attachment | undefined {
    return this.#attachment;
  }

  start(): void {
    void this.#keepAttached();
  }

  /** For good; with the problem that ended it, if one did. */
  stop(problem?: Problem): void {
    this.#stopped = true;
    this.#socket?.close();
    this.#wake?.();
    this.#with.phase("stopped", problem);
  }

  /** Gives the connection up for a new one, with a new Hello. */
  reattach(): void {
    this.#socket?.close();
  }

  /** Tries again at once instead of waiting. */
  reconnect(): void {
    this.#attempt = 0;
    this.#wake?.();
  }

  hold(yes: boolean): void {
    this.#held = yes;
    if (yes) this.#socket?.close();
    this.#wake?.();
  }

  send(body: ClientBody, traceparent = ""): void {
    if (!this.#socket) throw new Trouble("The runtime is not connected.", "Wait until it is connected and repeat.");
    this.#socket.send(body, traceparent);
  }

  async #keepAttached(): Promise<void> {
    while (!this.#stopped) {
      if (this.#held) {
        this.#with.phase("held");
        await this.#sleep(HELD_MS);
        continue;
      }
      await this.#attachOnce().catch((error: unknown) => {
        if (!this.#stopped) this.#with.phase("waiting", problemOf(error));
      });
      this.#socket?.close();
      this.#attachment = undefined;
      this.#with.lost();
      if (!this.#stopped && !this.#held) await this.#waitToReconnect();
    }
  }

  async #attachOnce(): Promise<void> {
    this.#with.phase("connecting");
    const credentials = await this.#credentials();
    const socket = new FrameSocket(this.#with.dial, this.#with.url);
    this.#socket = socket;
    const attachment = await attach(socket, credentials);
    const { bootId } = attachment.hello;
    const sameBoot = this.#lastBoot !== undefined && sameBytes(this.#lastBoot, bootId);
    this.#lastBoot = bootId;
    this.#attachment = attachment;
    this.#attempt = 0;
    this.#with.attached(attachment, sameBoot);
    socket.listen((frame) => {
      this.#with.frame(frame);
    });
    await socket.closed;
    // Attachments end after an hour: what was begun waits for the next one, and is told when that does not come about.
    if (!this.#stopped) this.#with.phase("connecting");
  }

  /** What the platform says may be final; what the socket says may be anybody's, before its Hello is verified. */
  async #credentials(): Promise<Credentials> {
    try {
      return await this.#with.credentials();
    } catch (error) {
      const problem = problemOf(error);
      if (FINAL.has(problem.reason)) this.#with.refused(problem);
      throw error;
    }
  }

  async #waitToReconnect(): Promise<void> {
    const ms = RECONNECT_MS[Math.min(this.#attempt, RECONNECT_MS.length - 1)] ?? HELD_MS;
    this.#attempt += 1;
    await this.#sleep(ms * (0.75 + Math.random() / 2));
  }

  async #sleep(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    await Promise.race([this.#with.pause(ms), woken]);
    this.#wake = undefined;
  }
}
