/** The border to protobuf: a size limit before decoding, and `Refused` for all that does not decode. */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";

import { Refused } from "./refused";

/** No message of the protocol is longer. */
export const MAX_MESSAGE = 4 * 1024 * 1024;

export function parse<M extends DescMessage>(schema: M, data: Uint8Array): MessageShape<M> {
  if (data.length > MAX_MESSAGE) throw new Refused(`${data.length} bytes are more than a message may have`);
  try {
    return fromBinary(schema, data);
  } catch (error) {
    throw new Refused(`not a ${schema.name}: ${String(error)}`);
  }
}
