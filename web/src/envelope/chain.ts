/**
 * The output chain of a run. docs/protocol.md, section 7.
 *
 *     h_0 = 32 zero bytes;  h_i = SHA-256("spin/out/v1" || h_{i-1} || u32 i || u8 kind || u64 len(body) || body)
 */
import { bigEndian, type Bytes, sha256, utf8 } from "./bytes";

const DOMAIN = utf8("spin/out/v1");

export class OutputChain {
  constructor(
    public frames = 0,
    public digest: Bytes = new Uint8Array(32),
  ) {}

  /** Chains one output's body, as carried. Calls must not overlap: each waits for the one before. */
  async append(kind: number, body: Uint8Array): Promise<void> {
    const place = [bigEndian(this.frames + 1, 4), bigEndian(kind, 1), bigEndian(body.length, 8)];
    this.digest = await sha256(DOMAIN, this.digest, ...place, body);
    this.frames += 1;
  }
}
