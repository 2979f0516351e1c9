import { type Transport, createClient } from "@connectrpc/connect";
import { CompilerService } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import type { Attachment } from "../model/attach";
import type { CompileOrder, CompiledRun, SessionIdentity } from "../model/calls";

export async function compileCell(
  transport: Transport,
  session: SessionIdentity,
  { hello, challenge }: Attachment,
  { traceparent, ...order }: CompileOrder,
): Promise<CompiledRun> {
  const { sealed, ciphertextDigest } = await createClient(CompilerService, transport).compileCell(
    {
      workspaceId: session.workspaceId,
      notebookId: session.notebookId,
      sessionId: session.sessionId,
      hello: hello.data,
      challenge,
      // Someone is here to answer what the code asks.
      allowStdin: true,
      ...order,
    },
    { headers: { traceparent } },
  );
  return { sealed, ciphertextDigest };
}
