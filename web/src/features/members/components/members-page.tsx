import { useState } from "react";
import { type Member, MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { Button, Copyable, Dialog, Loading, Notice, ProblemNotice, SelectField, TextField } from "../../../shared/ui";
import { useAddMember } from "../api/add-member";
import { useMembers } from "../api/list-members";
import { useRemoveMember } from "../api/remove-member";
import { useUpdateMember } from "../api/update-member";
import { ROLES, ROLE_OPTIONS } from "../roles";
import { useStanding } from "../use-role";

export function MembersPage({ workspaceId }: { workspaceId: string }) {
  const members = useMembers(workspaceId);
  const whyNot = useStanding(workspaceId).refusal("member.manage");
  if (members.loading) return <Loading what="members" />;
  return (
    <div className="stack">
      <h1>Members</h1>
      {whyNot && <p className="list__detail">{whyNot}</p>}
      {members.error && <ProblemNotice error={members.error} onRetry={members.again} />}
      <ul className="list">
        {members.items.map((member) => (
          <MemberRow key={member.userId} workspaceId={workspaceId} member={member} whyNot={whyNot} />
        ))}
      </ul>
      {members.more && (
        <Button busy={members.loadingMore} onClick={members.more}>
          Show more
        </Button>
      )}
      <AddMember workspaceId={workspaceId} whyNot={whyNot} />
    </div>
  );
}

interface RowProps {
  workspaceId: string;
  member: Member;
  /** Why the person's role changes no members. */
  whyNot: string | undefined;
}

/** What went wrong with a member is said at the member. */
function MemberRow({ workspaceId, member, whyNot }: RowProps) {
  const update = useUpdateMember(workspaceId);
  const [asking, setAsking] = useState(false);
  return (
    <li className="list__row">
      <div className="list__main">
        <span className="list__title">{member.displayName || member.email}</span>
        <span className="list__detail">{member.email}</span>
        {update.isError && <ProblemNotice error={update.error} onDismiss={update.reset} />}
      </div>
      <select
        className="input"
        style={{ width: "auto" }}
        aria-label={`Role of ${member.email}`}
        disabled={update.isPending || whyNot !== undefined}
        {...(whyNot === undefined ? {} : { title: whyNot })}
        value={member.role}
        onChange={(event) => {
          update.mutate({ userId: member.userId, role: Number(event.target.value), etag: member.etag });
        }}
      >
        {ROLES.map(({ role, name }) => (
          <option key={role} value={role}>
            {name}
          </option>
        ))}
      </select>
      <Button
        small
        look="quiet"
        aria-label={`Remove ${member.email}`}
        whyNot={whyNot}
        onClick={() => {
          setAsking(true);
        }}
      >
        Remove…
      </Button>
      {asking && (
        <RemoveMember
          workspaceId={workspaceId}
          member={member}
          onClose={() => {
            setAsking(false);
          }}
        />
      )}
    </li>
  );
}

function RemoveMember({ workspaceId, member, onClose }: { workspaceId: string; member: Member; onClose: () => void }) {
  const remove = useRemoveMember(workspaceId);
  return (
    <Dialog title={`Remove ${member.email}?`} onClose={onClose}>
      <p>They lose the workspace at once. What they did stays in its history.</p>
      {remove.isError && <ProblemNotice error={remove.error} />}
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep them</Button>
        <Button
          look="danger"
          busy={remove.isPending}
          onClick={() => {
            remove.mutate({ userId: member.userId, etag: member.etag }, { onSuccess: onClose });
          }}
        >
          Remove
        </Button>
      </div>
    </Dialog>
  );
}

function AddMember({ workspaceId, whyNot }: Omit<RowProps, "member">) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState(MemberRole.EDITOR);
  const add = useAddMember(workspaceId);
  const link = add.data?.signInToken && `${window.location.origin}/sign-in#token=${add.data.signInToken}`;
  return (
    <form
      className="stack"
      style={{ maxWidth: 520 }}
      onSubmit={(event) => {
        event.preventDefault();
        add.mutate(
          { email, role },
          {
            onSuccess: () => {
              setEmail("");
            },
          },
        );
      }}
    >
      <h2>Add someone</h2>
      <TextField
        label="E-mail"
        type="email"
        required
        disabled={whyNot !== undefined}
        value={email}
        onChange={setEmail}
      />
      <SelectField
        label="Role"
        disabled={whyNot !== undefined}
        value={String(role)}
        options={ROLE_OPTIONS}
        onChange={(value) => {
          setRole(Number(value));
        }}
      />
      {add.isError && <ProblemNotice error={add.error} />}
      {link && (
        <Notice tone="ok" title="Added. Hand over this one-time sign-in link">
          <Copyable label="Sign-in link" text={link} />
        </Notice>
      )}
      {add.isSuccess && !link && <Notice tone="ok" title="Added. They can sign in already." />}
      <div className="row">
        <Button look="primary" type="submit" whyNot={whyNot} busy={add.isPending}>
          Add
        </Button>
      </div>
    </form>
  );
}
