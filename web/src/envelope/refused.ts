/** Something from outside could not be decoded or verified. The message is the same for every cause; `why` is for the local log. */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(readonly why: string) {
    super("OPEN_FAILED");
  }
}

/** Nothing is verified by a root document whose time is over. That is no secret: the document is public. */
export class RootExpired extends Refused {}
