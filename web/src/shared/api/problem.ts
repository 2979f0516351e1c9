/**
 * Turns whatever a call threw into a problem that can be shown: what went wrong, and how to go on. The service's own text comes
 * first where it has one; the reason decides what the page does about it.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb";
import { ErrorReason } from "../../gen/spinapis/errors/v1/reasons_pb";
import { SignedOut } from "./tokens";

export interface Problem {
  reason: ErrorReason;
  text: string;
  /** What the person can do; empty when the text says it. */
  advice: string;
  metadata: Record<string, string>;
  violations: { field: string; description: string }[];
}

/** A failure that the page found by itself, with a text for the person. */
export class Trouble extends Error {
  readonly advice: string;
  readonly reason: ErrorReason;

  constructor(text: string, advice = "", reason: ErrorReason = ErrorReason.UNSPECIFIED) {
    super(text);
    this.advice = advice;
    this.reason = reason;
  }
}

const ADVICE: Partial<Record<ErrorReason, string>> = {
  [ErrorReason.UNAVAILABLE]: "Wait a moment and try again.",
  [ErrorReason.RATE_LIMITED]: "Wait a moment and try again.",
  [ErrorReason.INTERNAL]: "Try again; if it stays, give the trace id to whoever runs this installation.",
  [ErrorReason.ETAG_MISMATCH]: "Load it again and repeat the change.",
  [ErrorReason.PERMISSION_DENIED]: "Ask an owner of the workspace for a role that includes it.",
  [ErrorReason.SIGN_IN_LINK_INVALID]: "Ask for a new link: `spin-service sign-in-link` makes one.",
  [ErrorReason.RUNTIME_NOT_CONFIRMED]: "Open Runtimes, compare the fingerprint and confirm it.",
  [ErrorReason.RUNTIME_REVOKED]: "Add the runtime again under Runtimes.",
  [ErrorReason.HELLO_STALE]: "Connect to the runtime again and repeat.",
};

export function problemOf(error: unknown): Problem {
  if (error instanceof Trouble) return problem(error.reason, error.message, error.advice);
  if (error instanceof SignedOut) {
    return problem(ErrorReason.UNAUTHENTICATED, "You are signed out.", "Sign in again.");
  }
  const connect = ConnectError.from(error);
  const info = connect.findDetails(ErrorInfoSchema).find((detail) => detail.domain === "spin");
  const reason = info ? reasonNamed(info.reason) : reasonOfCode(connect.code);
  const found = problem(reason, textOf(connect, info !== undefined), ADVICE[reason] ?? "");
  found.metadata = info?.metadata ?? {};
  found.violations = connect
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations.map(({ field, description }) => ({ field, description })));
  return found;
}

function problem(reason: ErrorReason, text: string, advice: string): Problem {
  return { reason, text, advice, metadata: {}, violations: [] };
}

function textOf(error: ConnectError, said: boolean): string {
  if (said && error.rawMessage) return error.rawMessage;
  if (error.code === Code.Unavailable || /fetch|network/i.test(error.rawMessage)) return "SPIN does not answer.";
  if (error.code === Code.Canceled) return "The call was stopped.";
  if (error.code === Code.DeadlineExceeded) return "SPIN took too long to answer.";
  return error.rawMessage || "Something went wrong.";
}

/** Names travel with or without the enum's prefix. */
export function reasonNamed(name: string): ErrorReason {
  const value = (ErrorReason as unknown as Record<string, unknown>)[name.replace(/^ERROR_REASON_/, "")];
  return typeof value === "number" ? value : ErrorReason.UNSPECIFIED;
}

function reasonOfCode(code: Code): ErrorReason {
  switch (code) {
    case Code.Unauthenticated:
      return ErrorReason.UNAUTHENTICATED;
    case Code.PermissionDenied:
      return ErrorReason.PERMISSION_DENIED;
    case Code.NotFound:
      return ErrorReason.NOT_FOUND;
    case Code.ResourceExhausted:
      return ErrorReason.RATE_LIMITED;
    case Code.Unavailable:
    case Code.Unknown:
    case Code.DeadlineExceeded:
      return ErrorReason.UNAVAILABLE;
    default:
      return ErrorReason.UNSPECIFIED;
  }
}
