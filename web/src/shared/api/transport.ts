/** gRPC-Web to the gateway that served the page, with the access token and a trace on every call. */
import { type Interceptor, type Transport, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { SignInService } from "../../gen/spinapis/auth/v1/sign_in_pb";
import { kept } from "../kept";
import { ErrorReason } from "../../gen/spinapis/errors/v1/reasons_pb";
import { problemOf } from "./problem";
import { newTraceparent } from "./trace";
import { SignedOut, TokenKeeper, type TokenPair } from "./tokens";
import type { Tokens } from "../../gen/spinapis/auth/v1/sign_in_pb";

/** Calls that come before there is a token. */
const PUBLIC = new Set([
  "ListSignInMethods",
  "RedeemSignInLink",
  "SignInWithPassword",
  "StartOidcSignIn",
  "FinishOidcSignIn",
  "RefreshTokens",
  "ListRootDocuments",
]);

export function tokenPair(tokens: Tokens | undefined): TokenPair {
  if (!tokens?.accessToken) throw new SignedOut();
  return {
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    accessExpiresAtMs: Number(tokens.accessExpiresAtMs),
  };
}

const traced: Interceptor = (next) => (request) => {
  if (!request.header.has("traceparent")) request.header.set("traceparent", newTraceparent());
  return next(request);
};

export function authorised(tokens: TokenKeeper): Interceptor {
  return (next) => async (request) => {
    if (PUBLIC.has(request.method.name)) return next(request);
    const token = await tokens.accessToken();
    request.header.set("authorization", `Bearer ${token}`);
    try {
      return await next(request);
    } catch (error) {
      // A stream's input cannot be sent twice; its next call renews the token.
      if (request.stream || ConnectError.from(error).code !== Code.Unauthenticated) throw error;
      request.header.set("authorization", `Bearer ${await tokens.renew(token)}`);
      return next(request);
    }
  };
}

const DEAD = new Set([
  ErrorReason.UNAUTHENTICATED,
  ErrorReason.REFRESH_REUSED,
  ErrorReason.TOKEN_EXPIRED,
  ErrorReason.CREDENTIALS_INVALID,
]);

async function refresh(bare: Transport, refreshToken: string): Promise<TokenPair> {
  try {
    const answer = await createClient(SignInService, bare).refreshTokens({ refreshToken });
    return tokenPair(answer.tokens);
  } catch (error) {
    if (DEAD.has(problemOf(error).reason)) throw new SignedOut();
    throw error;
  }
}

export interface Api {
  transport: Transport;
  tokens: TokenKeeper;
}

export function connectApi(baseUrl: string): Api {
  const bare = createGrpcWebTransport({ baseUrl, interceptors: [traced] });
  const tokens = new TokenKeeper({
    kept,
    refresh: (refreshToken) => refresh(bare, refreshToken),
    exclusively: (act) => navigator.locks.request("spin.tokens", act) as ReturnType<typeof act>,
    channel: new BroadcastChannel("spin.tokens"),
    now: Date.now,
  });
  const transport = createGrpcWebTransport({ baseUrl, interceptors: [traced, authorised(tokens)] });
  return { transport, tokens };
}
