/**
 * The installation's root of trust, as this browser knows it.
 *
 * The first document that this browser sees is pinned: its digest is kept, and every later version must follow from it by the roots'
 * own signatures. The walk starts at the pinned document each time, so that what is kept cannot be led astray.
 */
import { type Transport, createClient } from "@connectrpc/connect";
import { TrustedRoot, Refused, RootExpired } from "../../envelope";
import { EnrolmentService } from "../../gen/spinapis/auth/v1/trust_pb";
import { Trouble } from "../api/problem";
import { allPages } from "../api/pages";
import { kept } from "../kept";

const PINNED = "root-digest";

export async function listRootDocuments(transport: Transport): Promise<Uint8Array[]> {
  const client = createClient(EnrolmentService, transport);
  return allPages(async (pageToken) => {
    const page = await client.listRootDocuments({ pageToken, pageSize: 100 });
    return { items: page.rootDocuments, nextPageToken: page.nextPageToken };
  });
}

export interface KnownRoot {
  root: TrustedRoot;
  /** All of them, oldest first: what a runtime walks. */
  documents: Uint8Array[];
}

export async function currentRoot(transport: Transport): Promise<KnownRoot> {
  const documents = await listRootDocuments(transport);
  const [first, ...later] = documents;
  if (!first)
    throw new Trouble(
      "SPIN has no root document.",
      "Have whoever runs this installation look at `spin-service keys list`.",
    );
  try {
    const pinned = await kept.get(PINNED);
    let root = await TrustedRoot.pinned(first, pinned instanceof Uint8Array ? pinned : null);
    if (!(pinned instanceof Uint8Array)) await kept.put(PINNED, root.digest);
    for (const document of later) root = await root.updated(document);
    root.checkTime(Date.now());
    return { root, documents };
  } catch (error) {
    if (error instanceof RootExpired)
      throw new Trouble(
        "This installation’s root document has expired, so nothing that it signed is believed.",
        "Have whoever runs it renew it: `spin-service keys list` on its host says how. Nothing is lost meanwhile.",
      );
    if (!(error instanceof Refused)) throw error;
    throw new Trouble(
      "This installation’s keys are not the ones that this browser knows.",
      "If it was set up anew on purpose, clear this site’s data in the browser and sign in again. If not, something stands between you and it: do not go on.",
    );
  }
}
